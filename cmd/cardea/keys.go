package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/admin"
	"github.com/cardea-auth/cardea/internal/seal"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List the keys."`
	Rotate keysRotateCmd `cmd:"" help:"Sign with the standby key from now on; the present key still verifies."`
	Revoke keysRevokeCmd `cmd:"" help:"Stop accepting what a previous key has signed."`
	Rewrap keysRewrapCmd `cmd:"" help:"Seal every key under CARDEA_ENCRYPTION_KEY; CARDEA_PREVIOUS_ENCRYPTION_KEY still opens the old ones."`
}

type keysListCmd struct {
	commonFlags
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run lists the keys.
func (c *keysListCmd) Run(a *app) error {
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		list, err := api.Keys.List(ctx)
		if err != nil {
			return err
		}
		rows := [][]string{{"KEY ID", "USE", "ALGORITHM", "STATUS", "CREATED", "IN USE SINCE"}}
		for i := range list {
			k := &list[i]
			id := k.KID
			if id == "" {
				id = "(shared secret)"
			}
			rows = append(rows, []string{id, k.Use, k.Algorithm, k.Status, moment(k.CreatedAt), moment(k.ActivatedAt)})
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, list)
		}
		return table(a.stdout, rows)
	})
}

type keysRotateCmd struct {
	commonFlags
	Use    string `help:"Which keys: access, api_key or refresh." enum:"access,api_key,refresh" default:"access"`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run rotates. It works beside running servers.
func (c *keysRotateCmd) Run(a *app) error {
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		k, err := api.Because(c.Reason).Keys.Rotate(ctx, c.Use)
		if err != nil {
			return err
		}
		a.say("Key %s signs from now on; running servers take it up within a minute. What the previous key signed stays good.", k.KID)
		if c.Output == "json" {
			return writeJSON(a.stdout, k)
		}
		_, err = fmt.Fprintln(a.stdout, k.KID)
		return err
	})
}

type keysRevokeCmd struct {
	commonFlags
	KID    string `arg:"" name:"kid" help:"Key id, as 'cardea keys list' shows it."`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Run revokes a key that neither signs nor stands by.
func (c *keysRevokeCmd) Run(a *app) error {
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		err := api.Keys.Revoke(ctx, c.KID, reasonOr(c.Reason, "keys revoke"))
		switch {
		case code(err, admin.CodeNotFound):
			return fmt.Errorf("there is no key %q: see `cardea keys list`", c.KID)
		case code(err, admin.CodeConflict):
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
