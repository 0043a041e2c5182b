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

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/server"
)

type usersCmd struct {
	Create usersCreateCmd `cmd:"" help:"Make an account."`
	List   usersListCmd   `cmd:"" help:"List accounts."`
	Get    usersGetCmd    `cmd:"" help:"Show one account."`
	Ban    usersBanCmd    `cmd:"" help:"Ban an account: it can neither sign in nor refresh."`
	Unban  usersUnbanCmd  `cmd:"" help:"Lift a ban."`
	Delete usersDeleteCmd `cmd:"" help:"Delete an account and everything that belongs to it."`
}

// forever is the ban that GoTrue's own tools use for "no end".
const forever = 100 * 365 * 24 * time.Hour

// meta says in the audit log that the change came from the command line.
func meta() auth.Meta { return auth.Meta{UserAgent: "cardea " + versionOf().Version} }

// userView is an account as operators see it, without the password hash.
type userView struct {
	ID               auth.ID         `json:"id"`
	Email            string          `json:"email,omitempty"`
	Phone            string          `json:"phone,omitempty"`
	Aud              string          `json:"aud"`
	Role             string          `json:"role"`
	EmailConfirmedAt *time.Time      `json:"email_confirmed_at,omitempty"`
	PhoneConfirmedAt *time.Time      `json:"phone_confirmed_at,omitempty"`
	LastSignInAt     *time.Time      `json:"last_sign_in_at,omitempty"`
	BannedUntil      *time.Time      `json:"banned_until,omitempty"`
	IsAnonymous      bool            `json:"is_anonymous"`
	AppMetadata      json.RawMessage `json:"app_metadata,omitempty"`
	UserMetadata     json.RawMessage `json:"user_metadata,omitempty"`
	CreatedAt        *time.Time      `json:"created_at,omitempty"`
	UpdatedAt        *time.Time      `json:"updated_at,omitempty"`
}

func viewUser(u *auth.User) userView {
	return userView{
		ID: u.ID, Email: u.Email, Phone: u.Phone, Aud: u.Aud, Role: u.Role,
		EmailConfirmedAt: timestamp(u.EmailConfirmedAt), PhoneConfirmedAt: timestamp(u.PhoneConfirmedAt),
		LastSignInAt: timestamp(u.LastSignInAt), BannedUntil: timestamp(u.BannedUntil), IsAnonymous: u.IsAnonymous,
		AppMetadata: u.AppMetadata, UserMetadata: u.UserMetadata,
		CreatedAt: timestamp(u.CreatedAt), UpdatedAt: timestamp(u.UpdatedAt),
	}
}

// showUser prints one account.
func (a *app) showUser(u *auth.User, form string) error {
	if form == "json" {
		return writeJSON(a.stdout, viewUser(u))
	}
	return userTable(a.stdout, []auth.User{*u})
}

func userTable(w io.Writer, users []auth.User) error {
	rows := [][]string{{"ID", "E-MAIL", "PHONE", "CREATED", "LAST SIGN-IN", "BANNED UNTIL"}}
	for i := range users {
		u := &users[i]
		rows = append(rows, []string{u.ID.String(), u.Email, u.Phone, moment(u.CreatedAt), moment(u.LastSignInAt), moment(u.BannedUntil)})
	}
	return table(w, rows)
}

// findUser finds an account by id or by e-mail address. An address that several kinds of
// account share is not guessed at.
func findUser(ctx context.Context, admin *flow.Admin, name string) (auth.User, error) {
	if id, err := auth.ParseID(name); err == nil {
		return admin.Get(ctx, id)
	}
	email, err := auth.NormalizeEmail(name)
	if err != nil {
		return auth.User{}, usageError{fmt.Sprintf("%q is neither an id nor an e-mail address", name)}
	}
	const perPage = 100
	var found []auth.User
	for page := 1; ; page++ {
		list, err := admin.List(ctx, auth.UserQuery{Filter: email, SortBy: "created_at", Page: page, PerPage: perPage})
		if err != nil {
			return auth.User{}, err
		}
		for i := range list.Users {
			if list.Users[i].Email == email {
				found = append(found, list.Users[i])
			}
		}
		if len(list.Users) < perPage {
			break
		}
	}
	switch len(found) {
	case 0:
		return auth.User{}, auth.E(auth.CodeUserNotFound, "there is no account with the e-mail address "+email)
	case 1:
		return found[0], nil
	}
	return auth.User{}, fmt.Errorf("%d accounts have the e-mail address %s: name one by its id (`cardea users list --filter %s`)", len(found), email, email)
}

type usersCreateCmd struct {
	commonFlags
	Email         string `help:"E-mail address."`
	Phone         string `help:"Phone number."`
	PasswordStdin bool   `help:"Read the password from the first line of standard input. (On the command line everybody on the machine could see it.)"`
	Confirm       bool   `help:"Take address and number as proved." negatable:"" default:"true"`
	Role          string `help:"Database role."`
	UserMetadata  string `help:"JSON object that the user may change." placeholder:"JSON"`
	AppMetadata   string `help:"JSON object that only operators may change." placeholder:"JSON"`
	Output        string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run makes an account and mails nobody.
func (c *usersCreateCmd) Run(a *app) error {
	if c.Email == "" && c.Phone == "" {
		return usageError{"give --email or --phone"}
	}
	in := flow.NewUser{
		Role: c.Role, Email: c.Email, Phone: c.Phone,
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
	return a.withServer(c.flags(), func(ctx context.Context, srv *server.Server) error {
		u, err := srv.Admin().Create(ctx, in, meta())
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

func jsonObject(flag, text string) (map[string]json.RawMessage, error) {
	if text == "" {
		return nil, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil || !auth.CleanJSON(json.RawMessage(text)) {
		return nil, usageError{flag + ": not a JSON object"}
	}
	return object, nil
}

type usersListCmd struct {
	commonFlags
	Filter  string `help:"Part of e-mail address, phone number or name."`
	Page    int    `help:"Page, from 1." default:"1"`
	PerPage int    `help:"Accounts on a page, 1 to 1000." default:"50"`
	Output  string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run lists one page, newest first.
func (c *usersListCmd) Run(a *app) error {
	if c.Page < 1 || c.PerPage < 1 || c.PerPage > 1000 {
		return usageError{"--page must be at least 1, --per-page from 1 to 1000"}
	}
	return a.withServer(c.flags(), func(ctx context.Context, srv *server.Server) error {
		page, err := srv.Admin().List(ctx, auth.UserQuery{Filter: c.Filter, SortBy: "created_at", Desc: true, Page: c.Page, PerPage: c.PerPage})
		if err != nil {
			return err
		}
		a.say("%d of %d accounts.", len(page.Users), page.Total)
		if c.Output == "pretty" {
			return userTable(a.stdout, page.Users)
		}
		views := make([]userView, len(page.Users))
		for i := range page.Users {
			views[i] = viewUser(&page.Users[i])
		}
		return writeJSON(a.stdout, views)
	})
}

// oneUser is what commands on one account share.
type oneUser struct {
	commonFlags
	User string `arg:"" help:"Id or e-mail address."`
}

// withUser finds the account and works on it.
func (c *oneUser) withUser(a *app, work func(ctx context.Context, admin *flow.Admin, u auth.User) error) error {
	return a.withServer(c.flags(), func(ctx context.Context, srv *server.Server) error {
		u, err := findUser(ctx, srv.Admin(), c.User)
		if err != nil {
			return err
		}
		return work(ctx, srv.Admin(), u)
	})
}

type usersGetCmd struct {
	oneUser
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"json"`
}

// Run shows the account.
func (c *usersGetCmd) Run(a *app) error {
	return c.withUser(a, func(_ context.Context, _ *flow.Admin, u auth.User) error { return a.showUser(&u, c.Output) })
}

type usersBanCmd struct {
	oneUser
	For time.Duration `help:"How long, such as 24h. Without it: until the ban is lifted." placeholder:"DURATION"`
}

// Run bans the account.
func (c *usersBanCmd) Run(a *app) error {
	if c.For < 0 {
		return usageError{"--for can't be negative: lift a ban with `cardea users unban`"}
	}
	if c.For == 0 {
		c.For = forever
	}
	return c.withUser(a, func(ctx context.Context, admin *flow.Admin, u auth.User) error {
		u, err := admin.Update(ctx, u.ID, flow.UserChange{BanFor: &c.For}, meta())
		if err != nil {
			return err
		}
		a.say("%s is banned until %s. Access tokens that were issued before work until they expire, except here.", u.ID, moment(u.BannedUntil))
		return nil
	})
}

type usersUnbanCmd struct {
	oneUser
}

// Run lifts the ban.
func (c *usersUnbanCmd) Run(a *app) error {
	return c.withUser(a, func(ctx context.Context, admin *flow.Admin, u auth.User) error {
		var none time.Duration
		if _, err := admin.Update(ctx, u.ID, flow.UserChange{BanFor: &none}, meta()); err != nil {
			return err
		}
		a.say("%s is not banned any more.", u.ID)
		return nil
	})
}

type usersDeleteCmd struct {
	oneUser
	Soft bool `help:"Keep the row, so that foreign keys still hold, but nothing that tells who it was."`
}

// Run deletes the account.
func (c *usersDeleteCmd) Run(a *app) error {
	return c.withUser(a, func(ctx context.Context, admin *flow.Admin, u auth.User) error {
		if err := admin.Delete(ctx, u.ID, c.Soft, meta()); err != nil {
			return err
		}
		a.say("%s is deleted.", u.ID)
		return nil
	})
}
