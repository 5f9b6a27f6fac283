package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// recording is what the real Salt made of one formula.
type recording struct {
	Formula   string               `json:"formula"`
	Repo      string               `json:"repo"`
	Commit    string               `json:"commit"`
	Roots     []string             `json:"roots"` // folders in the tree that are its file roots; the tree itself where there are none
	Scenarios map[string]*scenario `json:"scenarios"`
}

// scenario is one pillar and all SLS under it.
type scenario struct {
	PillarFile   string           `json:"pillar_file"`
	Pillar       json.RawMessage  `json:"pillar"` // what the pillar file becomes, or without one the pillar itself
	Grains       json.RawMessage  `json:"grains"` // what differs from the grains of all
	PillarErrors []string         `json:"pillar_errors"`
	MachineCalls []machineCall    `json:"machine_calls"`
	SLS          map[string]*cell `json:"sls"`
	Managed      []managed        `json:"managed"`
}

// machineCall is what a function that looks at the machine returned.
type machineCall struct {
	Fun    string         `json:"fun"`
	Args   []any          `json:"args"`
	Kwargs map[string]any `json:"kwargs"`
	Ret    any            `json:"ret"`
}

// cell is what was made of one SLS.
type cell struct {
	High      any      `json:"high"`
	Low       any      `json:"low"`
	Errors    []string `json:"errors"`
	LowErrors []string `json:"low_errors"`
	SHA256    string   `json:"rendered_sha256"`
	Lines     int      `json:"rendered_lines"`
	Unstable  bool     `json:"unstable"`
	SameAs    string   `json:"same_as"`
}

// managed is a file that a template becomes.
type managed struct {
	ID       string `json:"id"`
	SLS      string `json:"sls"`
	Name     string `json:"name"`
	Source   any    `json:"source"`
	Template string `json:"template"`
	Context  any    `json:"context"`
	Defaults any    `json:"defaults"`
	Chosen   string `json:"chosen_source"`
	SHA256   string `json:"sha256"`
	Size     int    `json:"size"`
	Error    string `json:"error"`
}

// roots are the file roots of a tree.
func (r *recording) roots(dir string) []string {
	if len(r.Roots) == 0 {
		return []string{dir}
	}
	out := make([]string, len(r.Roots))
	for i, root := range r.Roots {
		out[i] = filepath.Join(dir, filepath.FromSlash(root))
	}
	return out
}

// grains are those of the scenario.
func (s *scenario) grains(all *wire.Map) (*wire.Map, error) {
	own, err := parseMap(s.Grains)
	if err != nil || own.Len() == 0 {
		return all, err
	}
	out := all.Clone()
	for k, v := range own.Strings() {
		out.Set(k, v)
	}
	return out, nil
}

func readRecording(name string) (*recording, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var r recording
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &r, nil
}

// readMap reads a JSON object, its order kept.
func readMap(name string) (*wire.Map, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	m, err := parseMap(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

func parseMap(data []byte) (*wire.Map, error) {
	if len(data) == 0 {
		return wire.NewMap(), nil
	}
	v, err := pytext.ParseJSON(string(data))
	if err != nil {
		return nil, err
	}
	m, ok := v.(*wire.Map)
	if !ok {
		return nil, fmt.Errorf("no object: %.80s", data)
	}
	return m, nil
}

// plain is a value as JSON has it, to be compared with a recording.
func plain(v any) any {
	text, err := pytext.JSONOptions{Repr: true}.Dump(v)
	if err != nil {
		return err.Error()
	}
	var out any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return err.Error()
	}
	return out
}

func toWire(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	out, err := pytext.ParseJSON(string(text))
	if err != nil {
		return err.Error()
	}
	return out
}
