package main

import (
	"context"
	"fmt"

	"github.com/cardea-auth/cardea/admin"
	"github.com/cardea-auth/cardea/internal/auth"
)

type apiKeysCmd struct {
	Create apiKeysCreateCmd `cmd:"" help:"Make a key. It is printed once and stored hashed."`
	List   apiKeysListCmd   `cmd:"" help:"List the keys."`
	Revoke apiKeysRevokeCmd `cmd:"" help:"Revoke a key."`
}

type apiKeysCreateCmd struct {
	commonFlags
	Name   string `required:"" help:"What the key is for."`
	Kind   string `required:"" help:"publishable (for browsers, stands for nobody) or secret (for servers, may do everything)." enum:"publishable,secret"`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run makes a key and prints it; nobody can see it again.
func (c *apiKeysCreateCmd) Run(a *app) error {
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		k, err := api.Because(c.Reason).APIKeys.Create(ctx, c.Name, c.Kind)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, k)
		}
		a.say("Made key %s (%s). It is shown this once only:", k.ID, printable(k.Name))
		_, err = fmt.Fprintln(a.stdout, k.Key)
		return err
	})
}

type apiKeysListCmd struct {
	commonFlags
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run lists the keys, revoked ones too.
func (c *apiKeysListCmd) Run(a *app) error {
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		list, err := api.APIKeys.List(ctx)
		if err != nil {
			return err
		}
		rows := [][]string{{"ID", "NAME", "KIND", "BEGINS WITH", "CREATED", "REVOKED"}}
		for i := range list {
			k := &list[i]
			rows = append(rows, []string{k.ID, k.Name, k.Kind, k.Prefix, moment(k.CreatedAt), moment(k.RevokedAt)})
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, list)
		}
		return table(a.stdout, rows)
	})
}

type apiKeysRevokeCmd struct {
	commonFlags
	ID     string `arg:"" help:"Id of the key, as 'cardea api-keys list' shows it."`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Run revokes a key; again changes nothing.
func (c *apiKeysRevokeCmd) Run(a *app) error {
	id, err := auth.ParseID(c.ID)
	if err != nil {
		return usageError{fmt.Sprintf("%q is not the id of a key: see `cardea api-keys list`", c.ID)}
	}
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		err := api.APIKeys.Revoke(ctx, id.String(), reasonOr(c.Reason, "api-keys revoke"))
		switch {
		case code(err, admin.CodeNotFound):
			return fmt.Errorf("there is no key %s: see `cardea api-keys list`", id)
		case err != nil:
			return err
		}
		a.say("Key %s is revoked; running servers refuse it within a minute.", id)
		return nil
	})
}
