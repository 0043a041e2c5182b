package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/admin"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/token"
)

type usersExportCmd struct {
	oneUser
	File   string `help:"File to write; it must not exist. Without it the document goes to standard output." placeholder:"FILE"`
	Reason string `help:"Why, for the audit log: needed." placeholder:"TEXT"`
}

// Run writes the document as the server has signed it.
func (c *usersExportCmd) Run(a *app) error {
	if strings.TrimSpace(c.Reason) == "" {
		return usageError{"--reason is needed: the audit log keeps why somebody's data was carried away"}
	}
	return c.withUser(a, func(ctx context.Context, api *admin.Client, u admin.User) error {
		doc, err := api.Users.Export(ctx, u.ID, c.Reason)
		if err != nil {
			return err
		}
		if c.File == "" {
			_, err = a.stdout.Write(append(doc, '\n'))
			return err
		}
		// What it holds is the person's: nobody else on this machine may read it.
		f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(append(doc, '\n'))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		a.say("What is known of %s is in %s.", u.ID, c.File)
		return nil
	})
}

type usersVerifyExportCmd struct {
	File string `arg:"" help:"The document."`
	JWKS string `help:"Key set of the server that made it: a file, or an address such as https://auth.example.com/auth/v1/.well-known/jwks.json." required:"" placeholder:"FILE"`
}

// Run tells whether the document is as a server with these keys made it.
func (c *usersVerifyExportCmd) Run(a *app) error {
	file, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	keys, err := readKeySet(a.ctx, c.JWKS)
	if err != nil {
		return err
	}
	document, signature, err := flow.OpenExport(file)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	kid, err := token.VerifyDetached(signature, document, keys)
	if err != nil {
		return fmt.Errorf("%s can't be trusted: %w", c.File, err)
	}
	a.say("%s is as it was made: signed with the key %s.", c.File, printable(kid))
	return nil
}

// readKeySet reads a file, or what an address answers.
func readKeySet(ctx context.Context, from string) ([]byte, error) {
	if !strings.HasPrefix(from, "https://") && !strings.HasPrefix(from, "http://") {
		return os.ReadFile(from) //nolint:gosec // G304: the operator names it
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 30 * time.Second}
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", from, res.Status)
	}
	return io.ReadAll(io.LimitReader(res.Body, 1<<20))
}
