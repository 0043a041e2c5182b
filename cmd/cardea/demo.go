package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/server"
)

// demoAccount is an account to try things with. They exist in the data folder's own
// database only: never where real accounts could be.
type demoAccount struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Role     string `json:"role"` // in app_metadata: what the account is in the demo
	Name     string `json:"name"`
}

func demoPath(dataDir string) string { return filepath.Join(dataDir, "demo.json") }

func demoPeople() []demoAccount {
	return []demoAccount{
		{Email: "doctor@demo.cardea.test", Role: "clinician", Name: "Dr. Ada Demo"},
		{Email: "patient@demo.cardea.test", Role: "patient", Name: "Pat Demo"},
	}
}

// readDemo gives the demo accounts of a data folder, none when there are none.
func readDemo(dataDir string) ([]demoAccount, error) {
	var list []demoAccount
	return list, readJSON(demoPath(dataDir), &list)
}

// readJSON reads a file of ours; a missing one leaves v as it is.
func readJSON(path string, v any) error {
	doc, err := os.ReadFile(path) //nolint:gosec // G304: a file of the data folder
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	if err := json.Unmarshal(doc, v); err != nil {
		return fmt.Errorf("%s: %w (delete it to have it made anew)", path, err)
	}
	return nil
}

// ensureDemo makes the demo accounts with random passwords, unless they were made
// before. An account whose password was lost with the file gets a new one. Only the
// database of the data folder gets them.
func ensureDemo(ctx context.Context, srv *server.Server, cfg config.Config) ([]demoAccount, error) {
	list, err := readDemo(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, d := range list {
		if _, err := lookUp(ctx, srv.Admin(), d.Email); err == nil {
			known[d.Email] = true
		}
	}
	if len(list) > 0 && len(known) == len(list) {
		return list, nil
	}
	list = demoPeople()
	for i := range list {
		list[i].Password = rand.Text()
		if err := putDemo(ctx, srv.Admin(), &list[i]); err != nil {
			return nil, fmt.Errorf("demo account %s: %w", list[i].Email, err)
		}
	}
	return list, writePrivate(demoPath(cfg.DataDir), list)
}

func putDemo(ctx context.Context, admin *flow.Admin, d *demoAccount) error {
	app := map[string]json.RawMessage{"demo": json.RawMessage("true"), "role": quoted(d.Role)}
	_, err := admin.Create(ctx, flow.NewUser{
		Email: d.Email, Password: d.Password, EmailConfirm: true,
		UserMetadata: map[string]json.RawMessage{"full_name": quoted(d.Name)}, AppMetadata: app,
	}, meta())
	if auth.CodeOf(err) != auth.CodeEmailExists {
		return err
	}
	u, err := lookUp(ctx, admin, d.Email)
	if err != nil {
		return err
	}
	_, err = admin.Update(ctx, u.ID, flow.UserChange{Password: &d.Password, AppMetadata: app}, meta())
	return err
}

func quoted(s string) json.RawMessage {
	doc, _ := json.Marshal(s)
	return doc
}

// devKeys is DataDir/api-keys.json: the opaque keys in plain, which only dev keeps.
type devKeys struct {
	Publishable string `json:"publishable"`
	Secret      string `json:"secret"`
}

func devKeysPath(dataDir string) string { return filepath.Join(dataDir, "api-keys.json") }

// ensureDevKeys makes the two opaque keys, unless those in the file are still good.
func ensureDevKeys(ctx context.Context, srv *server.Server, cfg config.Config) (devKeys, error) {
	var keys devKeys
	if err := readJSON(devKeysPath(cfg.DataDir), &keys); err != nil {
		return keys, err
	}
	changed := false
	for _, k := range []struct {
		kind  string
		plain *string
	}{{auth.APIKeyPublishable, &keys.Publishable}, {auth.APIKeySecret, &keys.Secret}} {
		if _, ok, err := srv.APIKeys().Resolve(ctx, *k.plain); ok && err == nil {
			continue
		}
		plain, _, err := srv.APIKeys().Create(ctx, "cardea dev", k.kind)
		if err != nil {
			return keys, err
		}
		*k.plain, changed = plain, true
	}
	if !changed {
		return keys, nil
	}
	return keys, writePrivate(devKeysPath(cfg.DataDir), keys)
}
