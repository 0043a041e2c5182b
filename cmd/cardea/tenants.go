package main

import (
	"context"
	"fmt"

	"github.com/cardea-auth/cardea/admin"
	"github.com/cardea-auth/cardea/internal/auth"
)

type tenantsCmd struct {
	Create       tenantsCreateCmd       `cmd:"" help:"Make a tenant."`
	List         tenantsListCmd         `cmd:"" help:"List tenants."`
	Get          tenantsGetCmd          `cmd:"" help:"Show one tenant."`
	Members      tenantsMembersCmd      `cmd:"" help:"List the members of a tenant."`
	AddMember    tenantsAddMemberCmd    `cmd:"" name:"add-member" help:"Take somebody into a tenant, or invite."`
	RemoveMember tenantsRemoveMemberCmd `cmd:"" name:"remove-member" help:"End a membership."`
}

func tenantTable(a *app, list []admin.Tenant) error {
	rows := [][]string{{"ID", "SLUG", "NAME", "ACTIVE", "CREATED"}}
	for i := range list {
		t := &list[i]
		rows = append(rows, []string{t.ID, t.Slug, t.Name, fmt.Sprint(t.Active), moment(t.CreatedAt)})
	}
	return table(a.stdout, rows)
}

func (a *app) showTenant(t *admin.Tenant, form string) error {
	if form == "json" {
		return writeJSON(a.stdout, t)
	}
	return tenantTable(a, []admin.Tenant{*t})
}

type tenantsCreateCmd struct {
	commonFlags
	Slug     string `required:"" help:"Short name for addresses: unique, lower-case letters, digits, hyphens."`
	Name     string `required:"" help:"Name for people."`
	Owner    string `help:"Account that the tenant belongs to: id or e-mail address." placeholder:"USER"`
	Settings string `help:"JSON object." placeholder:"JSON"`
	Output   string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run makes a tenant.
func (c *tenantsCreateCmd) Run(a *app) error {
	settings, err := jsonObject("--settings", c.Settings)
	if err != nil {
		return err
	}
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		in := admin.NewTenant{Slug: c.Slug, Name: c.Name, Settings: settings}
		if c.Owner != "" {
			u, err := findUser(ctx, api, c.Owner)
			if err != nil {
				return err
			}
			in.OwnerID = u.ID
		}
		t, err := api.Tenants.Create(ctx, in)
		if err != nil {
			return err
		}
		return a.showTenant(&t, c.Output)
	})
}

type tenantsListCmd struct {
	commonFlags
	After  string `help:"Id of the last tenant of the page before." placeholder:"ID"`
	Limit  int    `help:"Tenants on a page, 1 to 100." default:"50"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run lists one page in the order of their making.
func (c *tenantsListCmd) Run(a *app) error {
	if c.Limit < 1 || c.Limit > 100 {
		return usageError{"--limit must be from 1 to 100"}
	}
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		page, err := api.Tenants.List(ctx, c.After, c.Limit)
		if err != nil {
			return err
		}
		a.sayPage(len(page.Tenants), "tenant", page.Next)
		if c.Output == "json" {
			return writeJSON(a.stdout, page.Tenants)
		}
		return tenantTable(a, page.Tenants)
	})
}

// oneTenant is what commands on one tenant share.
type oneTenant struct {
	commonFlags
	Tenant string `arg:"" help:"Id or slug."`
}

// withTenant finds the tenant and works on it.
func (c *oneTenant) withTenant(a *app, work func(ctx context.Context, api *admin.Client, t admin.Tenant) error) error {
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		t, err := api.Tenants.Get(ctx, c.Tenant)
		if err != nil {
			return err
		}
		return work(ctx, api, t)
	})
}

type tenantsGetCmd struct {
	oneTenant
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"json"`
}

// Run shows the tenant.
func (c *tenantsGetCmd) Run(a *app) error {
	return c.withTenant(a, func(_ context.Context, _ *admin.Client, t admin.Tenant) error { return a.showTenant(&t, c.Output) })
}

func memberTable(a *app, list []admin.Membership) error {
	rows := [][]string{{"USER", "E-MAIL", "NAME", "ROLE", "STATE", "ENDS"}}
	for i := range list {
		m := &list[i]
		rows = append(rows, []string{m.UserID, m.Email, m.FullName, m.Role, m.State, moment(m.EndsAt)})
	}
	return table(a.stdout, rows)
}

type tenantsMembersCmd struct {
	oneTenant
	After  string `help:"Id of the last member of the page before." placeholder:"ID"`
	Limit  int    `help:"Members on a page, 1 to 100." default:"50"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run lists one page of members.
func (c *tenantsMembersCmd) Run(a *app) error {
	if c.Limit < 1 || c.Limit > 100 {
		return usageError{"--limit must be from 1 to 100"}
	}
	return c.withTenant(a, func(ctx context.Context, api *admin.Client, t admin.Tenant) error {
		page, err := api.Tenants.Members(ctx, t.ID, c.After, c.Limit)
		if err != nil {
			return err
		}
		a.sayPage(len(page.Members), "member", page.Next)
		if c.Output == "json" {
			return writeJSON(a.stdout, page.Members)
		}
		return memberTable(a, page.Members)
	})
}

type tenantsAddMemberCmd struct {
	oneTenant
	User     string `arg:"" help:"Id or e-mail address. An address without an account gets an invitation by mail."`
	Role     string `required:"" help:"Role in the tenant."`
	Invite   bool   `help:"Ask the person, even where there is an account."`
	Redirect string `help:"Where the invitation leads; the site without it." placeholder:"URL"`
	Reason   string `help:"Why, for the audit log." placeholder:"TEXT"`
	Output   string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run takes a person in at once, or invites.
func (c *tenantsAddMemberCmd) Run(a *app) error {
	return c.withTenant(a, func(ctx context.Context, api *admin.Client, t admin.Tenant) error {
		in := admin.NewMember{Role: c.Role, RedirectTo: c.Redirect}
		u, err := findUser(ctx, api, c.User)
		switch {
		case auth.CodeOf(err) == auth.CodeUserNotFound: // an address that nobody has
			in.Email = c.User
		case err != nil:
			return err
		case c.Invite && u.Email != "":
			in.Email = u.Email
		default:
			in.UserID, in.Accepted = u.ID, !c.Invite
		}
		m, err := api.Because(c.Reason).Tenants.AddMember(ctx, t.ID, in)
		if err != nil {
			return err
		}
		if m.State == admin.MemberInvited {
			a.say("%s is invited to %s as %s.", printable(c.User), printable(t.Slug), printable(m.Role))
		} else {
			a.say("%s is a member of %s as %s.", printable(c.User), printable(t.Slug), printable(m.Role))
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, m)
		}
		_, err = fmt.Fprintln(a.stdout, m.UserID)
		return err
	})
}

type tenantsRemoveMemberCmd struct {
	oneTenant
	User   string `arg:"" help:"Id or e-mail address."`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Run ends a membership.
func (c *tenantsRemoveMemberCmd) Run(a *app) error {
	return c.withTenant(a, func(ctx context.Context, api *admin.Client, t admin.Tenant) error {
		u, err := findUser(ctx, api, c.User)
		if err != nil {
			return err
		}
		if err := api.Because(c.Reason).Tenants.RemoveMember(ctx, t.ID, u.ID); err != nil {
			return err
		}
		a.say("%s is no member of %s any more.", printable(c.User), printable(t.Slug))
		return nil
	})
}
