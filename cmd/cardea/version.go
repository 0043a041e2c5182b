package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct {
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// build says what this binary was made from.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // made from a tree with uncommitted changes
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Run prints the version.
func (c *versionCmd) Run(a *app) error {
	v := versionOf()
	if c.Output == "json" {
		return writeJSON(a.stdout, v)
	}
	commit := ""
	if v.Commit != "" {
		commit = " (" + v.Commit + ")"
	}
	_, err := fmt.Fprintf(a.stdout, "cardea %s%s %s %s\n", v.Version, commit, v.Go, v.Platform)
	return err
}

// versionOf reads what the go command wrote into the binary.
func versionOf() build {
	v := build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v.Version = m
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value[:min(12, len(s.Value))]
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
