package config

import (
	"fmt"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Privacy says what becomes of people who leave.
type Privacy struct {
	ErasurePlan    auth.ErasurePlan
	CollectorsFile string
	Collectors     []Collector // of the file
}

func privacySettings() []Setting {
	const group = "Privacy"
	return []Setting{
		{Name: "CARDEA_ERASURE_PLAN", Group: group, Default: "known_devices=delete,profiles=delete,memberships=delete,relations=end,audit_log_entries=anonymise,users=anonymise",
			Help:  "What the deletion of a person does to tables, comma-separated, such as `relations=retain:2555d`. docs/guides/privacy.md explains it. Credentials, sessions and addresses always go at once.",
			field: makeField("list", func(c *Config) *auth.ErasurePlan { return &c.Privacy.ErasurePlan }, parseErasurePlan, formatErasurePlan)},
		{Name: nameCollectors, Group: group,
			Help:  "Path of a YAML file with the applications that keep data of people of their own: they are asked for it in an export, and to erase it in a deletion.",
			field: textField(func(c *Config) *string { return &c.Privacy.CollectorsFile })},
	}
}

func parseErasurePlan(s string) (auth.ErasurePlan, error) {
	var plan auth.ErasurePlan
	for _, item := range parseList(s) {
		if err := cleanText(item); err != nil {
			return nil, err
		}
		r, err := auth.ParseErasureRule(item, parseDuration)
		if err != nil {
			return nil, fmt.Errorf("%q %w", item, err)
		}
		plan = append(plan, r)
	}
	return plan, plan.Check()
}

func formatErasurePlan(plan auth.ErasurePlan) string {
	list := make([]string, len(plan))
	for i, r := range plan {
		list[i] = r.Table + "=" + r.Action
		if r.Action == auth.EraseRetain {
			list[i] += ":" + formatDuration(r.Keep)
		}
	}
	return strings.Join(list, ",")
}
