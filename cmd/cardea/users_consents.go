package main

import (
	"context"

	"github.com/cardea-auth/cardea/admin"
)

type usersConsentsCmd struct {
	oneUser
	Tenant  string `help:"Show the purposes of this tenant, too." placeholder:"ID"`
	History bool   `help:"What was said, and when, newest first."`
	Output  string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run shows what somebody has agreed to. There is no flag to change it: only the person can.
func (c *usersConsentsCmd) Run(a *app) error {
	return c.withUser(a, func(ctx context.Context, api *admin.Client, u admin.User) error {
		if c.History {
			return c.history(ctx, a, api, u.ID)
		}
		list, err := api.Users.Consents(ctx, u.ID, c.Tenant)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, list)
		}
		rows := [][]string{{"PURPOSE", "STATUS", "VERSION", "GIVEN", "EXPIRES", "TAKEN BACK", "TENANT"}}
		for i := range list {
			o := &list[i]
			rows = append(rows, []string{o.Purpose, o.Status, o.Version, moment(o.GrantedAt), moment(o.ExpiresAt), moment(o.WithdrawnAt), o.TenantID})
		}
		return table(a.stdout, rows)
	})
}

func (c *usersConsentsCmd) history(ctx context.Context, a *app, api *admin.Client, id string) error {
	events := []admin.ConsentEvent{}
	for after := ""; ; {
		page, err := api.Users.ConsentHistory(ctx, id, after, 100)
		if err != nil {
			return err
		}
		events = append(events, page.Events...)
		if after = page.Next; after == "" {
			break
		}
	}
	if c.Output == "json" {
		return writeJSON(a.stdout, events)
	}
	rows := [][]string{{"WHEN", "PURPOSE", "SAID", "VERSION", "TENANT", "ADDRESS", "PROGRAM"}}
	for i := range events {
		e := &events[i]
		rows = append(rows, []string{moment(e.At), e.Purpose, e.Action, e.Version, e.TenantID, e.IP, short(e.UserAgent)})
	}
	return table(a.stdout, rows)
}
