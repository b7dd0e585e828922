// SPDX-License-Identifier: Apache-2.0

// cel evaluates the rows of tests/unit/cel_rows.txt with the CEL environment of a real kube-apiserver and says where
// they differ: what the unit test of our interpreter expects must be what Kubernetes does.  TAP on stdout.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	k8scel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	yaml "sigs.k8s.io/json"
)

type world struct {
	schema    *structural.Structural
	env       *cel.Env
	self, old any
}

func decode(text string) any {
	var v any
	if err := yaml.UnmarshalCaseSensitivePreserveInts([]byte(text), &v); err != nil {
		panic(fmt.Sprintf("%s: %v", text, err))
	}
	return v
}

func (w *world) setSchema(text string) {
	var external v1.JSONSchemaProps
	var internal apiextensions.JSONSchemaProps
	if err := json.Unmarshal([]byte(text), &external); err != nil {
		panic(err)
	}
	if err := v1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&external, &internal, nil); err != nil {
		panic(err)
	}
	s, err := structural.NewStructural(&internal)
	if err != nil {
		panic(err)
	}
	w.schema = s
	decl := model.SchemaDeclType(s, true).MaybeAssignTypeName("fixture")
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion(), true).Extend(environment.VersionedOptions{
		IntroducedVersion: environment.DefaultCompatibilityVersion(),
		EnvOptions: []cel.EnvOption{
			cel.Variable("self", decl.CelType()), cel.Variable("oldSelf", decl.CelType()),
		},
		DeclTypes: []*k8scel.DeclType{decl},
	})
	if err != nil {
		panic(err)
	}
	w.env = set.StoredExpressionsEnv()
}

func number(d float64) string {
	text := strconv.FormatFloat(d, 'g', -1, 64)
	if !strings.ContainsAny(text, ".eIN") {
		text += ".0"
	}
	return text
}

func show(v ref.Val) string {
	switch x := v.(type) {
	case types.Int:
		return strconv.FormatInt(int64(x), 10)
	case types.Uint:
		return strconv.FormatUint(uint64(x), 10) + "u"
	case types.Double:
		return number(float64(x))
	case types.String:
		text, _ := json.Marshal(string(x))
		return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(text))
	case types.Bytes:
		return fmt.Sprintf("bytes(%x)", []byte(x))
	case types.Bool:
		return strconv.FormatBool(bool(x))
	case types.Null:
		return "null"
	case types.Timestamp:
		return "timestamp(" + x.Time.UTC().Format(time.RFC3339Nano) + ")"
	case types.Duration:
		return "duration(" + strconv.FormatInt(int64(x.Duration), 10) + "ns)"
	case *types.Optional:
		if !x.HasValue() {
			return "none"
		}
		return "optional(" + show(x.GetValue()) + ")"
	case *types.Type:
		return "type(" + x.TypeName() + ")"
	}
	if l, ok := v.(traits.Lister); ok {
		var parts []string
		for it := l.Iterator(); it.HasNext() == types.True; {
			parts = append(parts, show(it.Next()))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	if m, ok := v.(traits.Mapper); ok {
		var parts []string
		for it := m.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			parts = append(parts, show(key)+": "+show(m.Get(key)))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprintf("<%s>", v.Type().TypeName())
}

func (w *world) run(expr string) string {
	ast, issues := w.env.Compile(expr)
	if issues != nil && issues.Err() != nil {
		return "refused: " + issues.String()
	}
	prog, err := w.env.Program(ast)
	if err != nil {
		return "refused: " + err.Error()
	}
	schema := model.Structural{Structural: model.WithTypeAndObjectMeta(w.schema)}
	vars := map[string]any{"self": common.UnstructuredToVal(w.self, &schema)}
	if w.old != nil {
		vars["oldSelf"] = common.UnstructuredToVal(w.old, &schema)
	}
	out, details, err := prog.Eval(vars)
	if err != nil {
		return "error: " + err.Error()
	}
	if os.Getenv("CEL_COST") != "" && details != nil && details.ActualCost() != nil {
		return fmt.Sprintf("%s cost %d", show(out), *details.ActualCost())
	}
	return show(out)
}

// agrees: of a refusal only that it is one, of an error its text up to the end of what the row says.
func agrees(got, want string) bool {
	if strings.HasPrefix(want, "refused") {
		return strings.HasPrefix(got, "refused")
	}
	if strings.HasPrefix(want, "error: ") {
		return strings.HasPrefix(got, want)
	}
	return got == want
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	var w world
	n, bad := 0, 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case word == "%schema":
			w.setSchema(rest)
			continue
		case word == "%self":
			w.self = decode(rest)
			continue
		case word == "%old":
			w.old = decode(rest)
			continue
		}
		expr, want, found := strings.Cut(line, " ==> ")
		n++
		got := w.run(expr)
		// "differs: reason" after the expectation: a row that only we answer so.
		want, reason, differs := strings.Cut(want, " ## ")
		if !found {
			fmt.Printf("%s ==> %s\n", expr, strings.ReplaceAll(got, "\n", "~"))
		} else if agrees(got, want) == differs {
			bad++
			fmt.Printf("# %s\n#   row: %s\n#   real: %s %s\n", expr, want, strings.ReplaceAll(got, "\n", "~"), reason)
		}
	}
	word := "ok"
	if bad > 0 || n == 0 {
		word = "not ok"
	}
	fmt.Printf("%s - %d rows of CEL, %d differ from the real one\n", word, n, bad)
	if bad > 0 {
		os.Exit(1)
	}
}
