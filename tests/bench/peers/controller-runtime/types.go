// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

type AgenticSession struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              Spec   `json:"spec,omitempty"`
	Status            Status `json:"status,omitempty"`
}

type Spec struct {
	InitialPrompt string       `json:"initialPrompt,omitempty"`
	Repos         []Repo       `json:"repos,omitempty"`
	Interactive   bool         `json:"interactive,omitempty"`
	Timeout       int64        `json:"timeout,omitempty"`
	LLMSettings   LLMSettings  `json:"llmSettings,omitempty"`
	UserContext   *UserContext `json:"userContext,omitempty"`
}

type Repo struct {
	URL    string `json:"url,omitempty"`
	Branch string `json:"branch,omitempty"`
}

type LLMSettings struct {
	Model       string  `json:"model,omitempty"`
	Temperature float64 `json:"temperature,omitempty"`
	MaxTokens   int64   `json:"maxTokens,omitempty"`
}

type UserContext struct {
	UserID      string   `json:"userId,omitempty"`
	DisplayName string   `json:"displayName,omitempty"`
	Groups      []string `json:"groups,omitempty"`
}

type Status struct {
	Phase      string             `json:"phase,omitempty"`
	StartTime  string             `json:"startTime,omitempty"`
	JobName    string             `json:"jobName,omitempty"`
	Message    string             `json:"message,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

type AgenticSessionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AgenticSession `json:"items"`
}

func (in *AgenticSession) DeepCopyInto(out *AgenticSession) {
	*out = *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Spec.Repos = slices.Clone(in.Spec.Repos)
	if in.Spec.UserContext != nil {
		user := *in.Spec.UserContext
		user.Groups = slices.Clone(user.Groups)
		out.Spec.UserContext = &user
	}
	out.Status.Conditions = slices.Clone(in.Status.Conditions)
}

func (in *AgenticSession) DeepCopyObject() runtime.Object {
	out := new(AgenticSession)
	in.DeepCopyInto(out)
	return out
}

func (in *AgenticSessionList) DeepCopyObject() runtime.Object {
	out := &AgenticSessionList{TypeMeta: in.TypeMeta, Items: make([]AgenticSession, len(in.Items))}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	for i := range in.Items {
		in.Items[i].DeepCopyInto(&out.Items[i])
	}
	return out
}
