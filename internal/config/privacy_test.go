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
