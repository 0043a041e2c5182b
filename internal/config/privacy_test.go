package config

import (
	"strings"
	"testing"
)

// X16: a plan that can't be kept stops the server before it starts, and says which item.
func TestErasurePlanIsChecked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"profiles":                        `"profiles" must be like`,
		"cases=delete":                    `"cases=delete" names no table`,
		"profiles=delete,profiles=delete": "profiles is named twice",
		"audit_log_entries=delete":        "can't be done to audit_log_entries: choose anonymise, retain",
		"relations=retain:soon":           "not a duration",
	} {
		if _, err := parseErasurePlan(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	plan, err := parseErasurePlan("relations=retain:2555d, users=delete")
	if err != nil || formatErasurePlan(plan) != "relations=retain:2555d,users=delete" {
		t.Errorf("%v %v", plan, err)
	}
}

// Whatever a file of collectors holds, it is read or refused; what is read has what was written.
func FuzzParseCollectors(f *testing.F) {
	for _, s := range []string{"collectors:\n  - name: a\n    timeout: 5s\n    phases: [erase]", "collectors: []", "{", "a: b", "collectors:\n  - {secret: x, secret_file: y}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		list, err := parseCollectors(doc, noFiles)
		if err == nil && len(list) == 0 {
			t.Fatalf("%q is an empty list", doc)
		}
	})
}
