// SPDX-License-Identifier: Apache-2.0

// cel evaluates the rows of its files (tests/unit/cel_rows.txt, tests/unit/cel_costs.txt) with the CEL environment of a
// real kube-apiserver and says where they differ: what the unit test of our interpreter expects must be what Kubernetes
// does.  In the second file the rows are rules and what each is estimated to cost at most.  The functions that the
// environment has must all occur in the rows, so that none is forgotten.  TAP on stdout.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
	schemacel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	k8scel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	yaml "sigs.k8s.io/json"
)

type world struct {
	schema    *structural.Structural
	env       *cel.Env
	self, old any
	costs     bool
	asNew     bool
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
	if w.asNew {
		w.env = set.NewExpressionsEnv()
	}
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

// estimate says what a rule at the root costs at most.
func (w *world) estimate(rule string) string {
	s := *w.schema
	s.XValidations = v1.ValidationRules{{Rule: rule}}
	set := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion(), true)
	results, err := schemacel.Compile(&s, model.SchemaDeclType(&s, true), celconfig.PerCallLimit, set,
		schemacel.StoredExpressionsEnvLoader())
	if err != nil {
		return "refused: " + err.Error()
	}
	if results[0].Error != nil {
		return "refused: " + results[0].Error.Detail
	}
	return strconv.FormatUint(results[0].MaxCost, 10)
}

// missing are the functions of the environment that no row uses, but for operators and what needs an authorizer.
func missing(text string) []string {
	env := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion(), true).StoredExpressionsEnv()
	var names []string
	for name, f := range env.Functions() {
		authorizes := false
		for _, o := range f.OverloadDecls() {
			args := o.ArgTypes()
			authorizes = authorizes || len(args) > 0 && strings.HasPrefix(args[0].String(), "kubernetes.authorization.")
		}
		short := name[strings.LastIndex(name, ".")+1:]
		if !authorizes && !strings.ContainsAny(name, "_@") && !strings.Contains(text, short+"(") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
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

func (w *world) file(path string) (n, bad int) {
	file, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	defer file.Close()
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
		case word == "%costs":
			w.costs = true
			continue
		case word == "%new":
			w.asNew = true
			continue
		}
		expr, want, found := strings.Cut(line, " ==> ")
		n++
		run := w.run
		if w.costs {
			run = w.estimate
		}
		got := run(expr)
		// "## reason" after the expectation: a row that only we answer so.
		want, reason, differs := strings.Cut(want, " ## ")
		if !found {
			fmt.Printf("%s ==> %s\n", expr, strings.ReplaceAll(got, "\n", "~"))
		} else if agrees(got, want) == differs {
			bad++
			fmt.Printf("# %s\n#   row: %s\n#   real: %s %s\n", expr, want, strings.ReplaceAll(got, "\n", "~"), reason)
		}
	}
	return n, bad
}

func main() {
	failed, all := false, ""
	report := func(ok bool, format string, args ...any) {
		word := "ok"
		if !ok {
			word, failed = "not ok", true
		}
		fmt.Printf("%s - %s\n", word, fmt.Sprintf(format, args...))
	}
	for _, path := range os.Args[1:] {
		n, bad := new(world).file(path)
		report(n > 0 && bad == 0, "%s: %d rows of CEL, %d differ from the real one", filepath.Base(path), n, bad)
		text, _ := os.ReadFile(path)
		all += string(text)
	}
	names := missing(all)
	report(len(names) == 0, "every function of the real one has a row%s", strings.Join(append([]string{""}, names...), " "))
	if failed {
		os.Exit(1)
	}
}
