package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/admin"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

type usersCmd struct {
	Create       usersCreateCmd       `cmd:"" help:"Make an account."`
	List         usersListCmd         `cmd:"" help:"List accounts."`
	Get          usersGetCmd          `cmd:"" help:"Show one account."`
	Ban          usersBanCmd          `cmd:"" help:"Ban an account: it can neither sign in nor refresh."`
	Unban        usersUnbanCmd        `cmd:"" help:"Lift a ban."`
	Activate     usersActivateCmd     `cmd:"" help:"Switch an account on again."`
	Deactivate   usersDeactivateCmd   `cmd:"" help:"Switch an account off: it sees itself and nothing else."`
	Roles        usersRolesCmd        `cmd:"" help:"Show or change the roles of an account."`
	Sessions     usersSessionsCmd     `cmd:"" help:"Show or end the sign-ins of an account."`
	Consents     usersConsentsCmd     `cmd:"" help:"Show what somebody has agreed to."`
	Delete       usersDeleteCmd       `cmd:"" help:"Delete an account and everything that belongs to it."`
	Erase        usersEraseCmd        `cmd:"" help:"Delete a person for good, everywhere, and remember nothing but the id."`
	Erasures     usersErasuresCmd     `cmd:"" help:"List deletions of people and how far they are."`
	Export       usersExportCmd       `cmd:"" help:"Write down everything that is known of a person, signed."`
	VerifyExport usersVerifyExportCmd `cmd:"" help:"Tell whether such a document is as it was made."`
	Hold         usersHoldCmd         `cmd:"" help:"Show, place or lift legal holds, which forbid to delete an account."`
}

// meta says in the audit log that the change came from the command line.
func meta() auth.Meta { return auth.Meta{UserAgent: "cardea " + versionOf().Version} }

// showUser prints one account.
func (a *app) showUser(u *admin.User, form string) error {
	if form == "json" {
		return writeJSON(a.stdout, u)
	}
	return userTable(a.stdout, []admin.User{*u})
}

func userTable(w io.Writer, users []admin.User) error {
	rows := [][]string{{"ID", "E-MAIL", "PHONE", "ROLES", "CREATED", "LAST SIGN-IN", "BANNED UNTIL"}}
	for i := range users {
		u := &users[i]
		rows = append(rows, []string{
			u.ID, u.Email, u.Phone, strings.Join(u.Roles, " "), moment(u.CreatedAt), moment(u.LastSignInAt), moment(u.BannedUntil),
		})
	}
	return table(w, rows)
}

// findUser finds an account by id or by e-mail address. An address that several kinds of
// account share is not guessed at.
func findUser(ctx context.Context, c *admin.Client, name string) (admin.User, error) {
	if id, err := auth.ParseID(name); err == nil {
		return c.Users.Get(ctx, id.String())
	}
	email, err := auth.NormalizeEmail(name)
	if err != nil {
		return admin.User{}, usageError{fmt.Sprintf("%q is neither an id nor an e-mail address", name)}
	}
	var found []admin.User
	for u, err := range c.Users.All(ctx, admin.UserQuery{Text: email, Limit: 100}) {
		if err != nil {
			return admin.User{}, err
		}
		if u.Email == email {
			found = append(found, u)
		}
	}
	switch len(found) {
	case 0:
		return admin.User{}, auth.E(auth.CodeUserNotFound, "there is no account with the e-mail address "+email)
	case 1:
		return found[0], nil
	}
	return admin.User{}, fmt.Errorf("%d accounts have the e-mail address %s: name one by its id (`cardea users list --filter %s`)", len(found), email, email)
}

type usersCreateCmd struct {
	commonFlags
	Email         string `help:"E-mail address."`
	Phone         string `help:"Phone number."`
	PasswordStdin bool   `help:"Read the password from the first line of standard input. (On the command line everybody on the machine could see it.)"`
	Confirm       bool   `help:"Take address and number as proved." negatable:"" default:"true"`
	DatabaseRole  string `help:"Database role. Roles of the application: 'cardea users roles'." name:"database-role" placeholder:"ROLE"`
	UserMetadata  string `help:"JSON object that the user may change." placeholder:"JSON"`
	AppMetadata   string `help:"JSON object that only operators may change." placeholder:"JSON"`
	Output        string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run makes an account and mails nobody.
func (c *usersCreateCmd) Run(a *app) error {
	if c.Email == "" && c.Phone == "" {
		return usageError{"give --email or --phone"}
	}
	in := admin.NewUser{
		DatabaseRole: c.DatabaseRole, Email: c.Email, Phone: c.Phone,
		EmailConfirm: c.Confirm && c.Email != "", PhoneConfirm: c.Confirm && c.Phone != "",
	}
	var err error
	if in.UserMetadata, err = jsonObject("--user-metadata", c.UserMetadata); err != nil {
		return err
	}
	if in.AppMetadata, err = jsonObject("--app-metadata", c.AppMetadata); err != nil {
		return err
	}
	if c.PasswordStdin {
		if in.Password, err = readPassword(a.stdin); err != nil {
			return err
		}
	}
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		u, err := api.Users.Create(ctx, in)
		if err != nil {
			return err
		}
		return a.showUser(&u, c.Output)
	})
}

// readPassword reads one line. Blanks inside and around it belong to the password.
func readPassword(r io.Reader) (string, error) {
	const most = 4096
	line, err := bufio.NewReader(io.LimitReader(r, most+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("standard input: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	switch {
	case line == "":
		return "", usageError{"--password-stdin: standard input is empty"}
	case len(line) > most:
		return "", usageError{"--password-stdin: the password is too long"}
	}
	return line, nil
}

func jsonObject(flag, text string) (map[string]any, error) {
	if text == "" {
		return nil, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil || !auth.CleanJSON(json.RawMessage(text)) {
		return nil, usageError{flag + ": not a JSON object"}
	}
	out := make(map[string]any, len(object))
	for name, value := range object { // as it was written: numbers too
		out[name] = value
	}
	return out, nil
}

type usersListCmd struct {
	commonFlags
	Filter string `help:"Part of e-mail address, phone number or name."`
	Role   string `help:"With this role in the application, or in --tenant."`
	Tenant string `help:"Members of this tenant: id or slug."`
	Active *bool  `help:"Only accounts that are on, or with --no-active off." negatable:""`
	After  string `help:"Id of the last account of the page before." placeholder:"ID"`
	Limit  int    `help:"Accounts on a page, 1 to 100." default:"50"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run lists one page in the order of their making.
func (c *usersListCmd) Run(a *app) error {
	if c.Limit < 1 || c.Limit > 100 {
		return usageError{"--limit must be from 1 to 100"}
	}
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		q := admin.UserQuery{Text: c.Filter, Role: c.Role, Active: c.Active, After: c.After, Limit: c.Limit}
		if c.Tenant != "" {
			t, err := api.Tenants.Get(ctx, c.Tenant)
			if err != nil {
				return err
			}
			q.TenantID = t.ID
		}
		page, err := api.Users.List(ctx, q)
		if err != nil {
			return err
		}
		a.sayPage(len(page.Users), "account", page.Next)
		if c.Output == "json" {
			return writeJSON(a.stdout, page.Users)
		}
		return userTable(a.stdout, page.Users)
	})
}

// sayPage says how much was listed, and how to go on.
func (a *app) sayPage(n int, what, next string) {
	if n != 1 {
		what += "s"
	}
	if next == "" {
		a.say("%d %s.", n, what)
		return
	}
	a.say("%d %s; the next page: --after %s", n, what, next)
}

// oneUser is what commands on one account share.
type oneUser struct {
	commonFlags
	User string `arg:"" help:"Id or e-mail address."`
}

// withUser finds the account and works on it.
func (c *oneUser) withUser(a *app, work func(ctx context.Context, api *admin.Client, u admin.User) error) error {
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		u, err := findUser(ctx, api, c.User)
		if err != nil {
			return err
		}
		return work(ctx, api, u)
	})
}

type usersGetCmd struct {
	oneUser
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"json"`
}

// Run shows the account.
func (c *usersGetCmd) Run(a *app) error {
	return c.withUser(a, func(ctx context.Context, api *admin.Client, u admin.User) error {
		u, err := api.Users.Get(ctx, u.ID) // the list leaves identities and factors out
		if err != nil {
			return err
		}
		return a.showUser(&u, c.Output)
	})
}

type usersBanCmd struct {
	oneUser
	For    time.Duration `help:"How long, such as 24h. Without it: until the ban is lifted." placeholder:"DURATION"`
	Reason string        `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Run bans the account.
func (c *usersBanCmd) Run(a *app) error {
	if c.For < 0 {
		return usageError{"--for can't be negative: lift a ban with `cardea users unban`"}
	}
	return c.withUser(a, func(ctx context.Context, api *admin.Client, u admin.User) error {
		u, err := api.Users.Ban(ctx, u.ID, c.For, reasonOr(c.Reason, "users ban"))
		if err != nil {
			return err
		}
		a.say("%s is banned until %s. Access tokens that were issued before work until they expire, except here.", u.ID, moment(u.BannedUntil))
		return nil
	})
}

type usersUnbanCmd struct {
	oneUser
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Run lifts the ban.
func (c *usersUnbanCmd) Run(a *app) error {
	return c.withUser(a, func(ctx context.Context, api *admin.Client, u admin.User) error {
		if _, err := api.Users.Unban(ctx, u.ID, reasonOr(c.Reason, "users unban")); err != nil {
			return err
		}
		a.say("%s is not banned any more.", u.ID)
		return nil
	})
}

type usersDeleteCmd struct {
	oneUser
	Soft   bool   `help:"Keep the row, so that foreign keys still hold, but nothing that tells who it was."`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Run deletes the account.
func (c *usersDeleteCmd) Run(a *app) error {
	return c.withUser(a, func(ctx context.Context, api *admin.Client, u admin.User) error {
		if err := api.Users.Delete(ctx, u.ID, c.Soft, reasonOr(c.Reason, "users delete")); err != nil {
			return err
		}
		a.say("%s is deleted.", u.ID)
		return nil
	})
}

// lookUp finds an account without the API, for what `cardea dev` prepares.
func lookUp(ctx context.Context, flows *flow.Admin, email string) (auth.User, error) {
	page, err := flows.List(ctx, auth.UserQuery{Filter: email, SortBy: "created_at", Page: 1, PerPage: 100})
	if err != nil {
		return auth.User{}, err
	}
	for i := range page.Users {
		if page.Users[i].Email == email {
			return page.Users[i], nil
		}
	}
	return auth.User{}, auth.E(auth.CodeUserNotFound, "there is no account with the e-mail address "+email)
}
