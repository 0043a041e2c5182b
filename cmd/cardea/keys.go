package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/seal"
	"github.com/cardea-auth/cardea/internal/server"
	"github.com/cardea-auth/cardea/internal/token"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List the keys."`
	Rotate keysRotateCmd `cmd:"" help:"Sign with the standby key from now on; the present key still verifies."`
	Revoke keysRevokeCmd `cmd:"" help:"Stop accepting what a previous key has signed."`
	Rewrap keysRewrapCmd `cmd:"" help:"Seal every key under CARDEA_ENCRYPTION_KEY; CARDEA_PREVIOUS_ENCRYPTION_KEY still opens the old ones."`
}

// withServer opens the server for one piece of work.
func (a *app) withServer(flags map[string]string, work func(ctx context.Context, srv *server.Server) error) error {
	srv, _, err := a.open(flags)
	if err != nil {
		return err
	}
	return errors.Join(work(a.ctx, srv), srv.Close())
}

// keyView is a key without anything secret.
type keyView struct {
	KID         string     `json:"kid"`
	Use         string     `json:"use"`
	Algorithm   string     `json:"alg"`
	Status      string     `json:"status"`
	CreatedAt   *time.Time `json:"created_at,omitempty"`
	ActivatedAt *time.Time `json:"activated_at,omitempty"`
	RetiredAt   *time.Time `json:"retired_at,omitempty"`
	RevokedAt   *time.Time `json:"revoked_at,omitempty"`
}

func viewKey(k *auth.SigningKey) keyView {
	return keyView{
		KID: k.ID, Use: string(k.Use), Algorithm: k.Algorithm, Status: string(k.Status), CreatedAt: timestamp(k.CreatedAt),
		ActivatedAt: timestamp(k.ActivatedAt), RetiredAt: timestamp(k.RetiredAt), RevokedAt: timestamp(k.RevokedAt),
	}
}

type keysListCmd struct {
	commonFlags
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run lists the keys.
func (c *keysListCmd) Run(a *app) error {
	return a.withServer(c.flags(), func(_ context.Context, srv *server.Server) error {
		list := srv.Keys().List()
		views := make([]keyView, len(list))
		rows := [][]string{{"KEY ID", "USE", "ALGORITHM", "STATUS", "CREATED", "IN USE SINCE"}}
		for i := range list {
			k := &list[i]
			views[i] = viewKey(k)
			id := k.ID
			if id == "" {
				id = "(shared secret)"
			}
			rows = append(rows, []string{id, string(k.Use), k.Algorithm, string(k.Status), moment(k.CreatedAt), moment(k.ActivatedAt)})
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, views)
		}
		return table(a.stdout, rows)
	})
}

type keysRotateCmd struct {
	commonFlags
	Use    string `help:"Which keys: access, api_key or refresh." enum:"access,api_key,refresh" default:"access"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run rotates. It works beside running servers.
func (c *keysRotateCmd) Run(a *app) error {
	return a.withServer(c.flags(), func(ctx context.Context, srv *server.Server) error {
		k, err := srv.Keys().Rotate(ctx, auth.KeyUse(c.Use))
		if err != nil {
			return err
		}
		a.say("Key %s signs from now on; running servers take it up within a minute. What the previous key signed stays good.", k.ID)
		if c.Output == "json" {
			return writeJSON(a.stdout, viewKey(&k))
		}
		_, err = fmt.Fprintln(a.stdout, k.ID)
		return err
	})
}

type keysRevokeCmd struct {
	commonFlags
	KID string `arg:"" name:"kid" help:"Key id, as 'cardea keys list' shows it."`
}

// Run revokes a key that neither signs nor stands by.
func (c *keysRevokeCmd) Run(a *app) error {
	return a.withServer(c.flags(), func(ctx context.Context, srv *server.Server) error {
		err := srv.Keys().Revoke(ctx, c.KID)
		switch {
		case errors.Is(err, auth.ErrNotFound):
			return fmt.Errorf("there is no key %q: see `cardea keys list`", c.KID)
		case errors.Is(err, token.ErrInUse):
			return fmt.Errorf("key %s is in use: run `cardea keys rotate` first, then revoke it", c.KID)
		case err != nil:
			return err
		}
		a.say("Key %s is revoked; running servers refuse what it signed within a minute.", c.KID)
		return nil
	})
}

type keysRewrapCmd struct {
	commonFlags
}

// Run seals every key under the present key-encryption key.
func (c *keysRewrapCmd) Run(a *app) error {
	srv, cfg, err := a.open(c.flags())
	if err != nil {
		return err
	}
	box, err := seal.New(cfg.EncryptionKey)
	if err == nil {
		err = srv.Keys().Rewrap(a.ctx, box)
	}
	if err = errors.Join(err, srv.Close()); err != nil {
		return err
	}
	a.say("Every key is sealed under the present encryption key. CARDEA_PREVIOUS_ENCRYPTION_KEY can be removed once all servers run with the present one.")
	return nil
}
