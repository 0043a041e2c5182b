package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/server"
)

type apiKeysCmd struct {
	Create apiKeysCreateCmd `cmd:"" help:"Make a key. It is printed once and stored hashed."`
	List   apiKeysListCmd   `cmd:"" help:"List the keys."`
	Revoke apiKeysRevokeCmd `cmd:"" help:"Revoke a key."`
}

// apiKeyView is a stored key; the key itself is not stored.
type apiKeyView struct {
	ID        auth.ID    `json:"id"`
	Name      string     `json:"name"`
	Kind      string     `json:"kind"`
	Prefix    string     `json:"prefix"`
	Key       string     `json:"key,omitempty"` // only when it has just been made
	CreatedAt *time.Time `json:"created_at,omitempty"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

func viewAPIKey(k *auth.APIKey, plain string) apiKeyView {
	return apiKeyView{
		ID: k.ID, Name: k.Name, Kind: k.Kind, Prefix: k.Prefix, Key: plain,
		CreatedAt: timestamp(k.CreatedAt), RevokedAt: timestamp(k.RevokedAt),
	}
}

type apiKeysCreateCmd struct {
	commonFlags
	Name   string `required:"" help:"What the key is for."`
	Kind   string `required:"" help:"publishable (for browsers, stands for nobody) or secret (for servers, may do everything)." enum:"publishable,secret"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run makes a key and prints it; nobody can see it again.
func (c *apiKeysCreateCmd) Run(a *app) error {
	return a.withServer(c.flags(), func(ctx context.Context, srv *server.Server) error {
		plain, k, err := srv.APIKeys().Create(ctx, c.Name, c.Kind)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, viewAPIKey(&k, plain))
		}
		a.say("Made key %s (%s). It is shown this once only:", k.ID, printable(k.Name))
		_, err = fmt.Fprintln(a.stdout, plain)
		return err
	})
}

type apiKeysListCmd struct {
	commonFlags
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run lists the keys, revoked ones too.
func (c *apiKeysListCmd) Run(a *app) error {
	return a.withServer(c.flags(), func(ctx context.Context, srv *server.Server) error {
		list, err := srv.APIKeys().List(ctx)
		if err != nil {
			return err
		}
		views := make([]apiKeyView, len(list))
		rows := [][]string{{"ID", "NAME", "KIND", "BEGINS WITH", "CREATED", "REVOKED"}}
		for i := range list {
			k := &list[i]
			views[i] = viewAPIKey(k, "")
			rows = append(rows, []string{k.ID.String(), k.Name, k.Kind, k.Prefix, moment(k.CreatedAt), moment(k.RevokedAt)})
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, views)
		}
		return table(a.stdout, rows)
	})
}

type apiKeysRevokeCmd struct {
	commonFlags
	ID string `arg:"" help:"Id of the key, as 'cardea api-keys list' shows it."`
}

// Run revokes a key; again changes nothing.
func (c *apiKeysRevokeCmd) Run(a *app) error {
	id, err := auth.ParseID(c.ID)
	if err != nil {
		return usageError{fmt.Sprintf("%q is not the id of a key: see `cardea api-keys list`", c.ID)}
	}
	return a.withServer(c.flags(), func(ctx context.Context, srv *server.Server) error {
		err := srv.APIKeys().Revoke(ctx, id)
		switch {
		case errors.Is(err, auth.ErrNotFound):
			return fmt.Errorf("there is no key %s: see `cardea api-keys list`", id)
		case err != nil:
			return err
		}
		a.say("Key %s is revoked; running servers refuse it within a minute.", id)
		return nil
	})
}
