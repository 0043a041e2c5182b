package flow

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Delete removes an account with everything that belongs to it. A soft deletion keeps the
// row, so that foreign keys of the application stay whole, and replaces what identifies
// the person by hashes.
func (a *Admin) Delete(ctx context.Context, id auth.ID, soft bool, meta auth.Meta) error {
	u, err := a.Get(ctx, id)
	if err != nil {
		return err
	}
	entry, err := a.audit("user_deleted", "team", &u, meta)
	if err != nil {
		return err
	}
	if soft {
		d := auth.SoftDelete{At: entry.At, Email: obscure(id, u.Email), Phone: obscurePhone(id, u.Phone), ProviderIDs: map[auth.ID]string{}, Audit: entry}
		for i := range u.Identities {
			d.ProviderIDs[u.Identities[i].ID] = obscure(id, u.Identities[i].Provider+":"+u.Identities[i].ProviderID)
		}
		err = a.c.Store.SoftDeleteUser(ctx, id, d)
	} else {
		err = a.c.Store.DeleteUser(ctx, id, entry)
	}
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return auth.E(auth.CodeUserNotFound, "")
	case errors.Is(err, auth.ErrHeld):
		return a.c.held(ctx, id)
	case err != nil:
		return fmt.Errorf("flow: delete account: %w", err)
	}
	return nil
}

// obscure hashes what identifies a person, salted with the account's id, so that equal
// addresses of two deleted accounts do not show as equal. A reader of the database who
// guesses an address can still confirm the guess: erasure proper is another operation.
func obscure(id auth.ID, s string) string {
	if s == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(id.String() + s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// obscurePhone is obscure, cut to the 15 characters that a phone number may have.
func obscurePhone(id auth.ID, s string) string {
	if s == "" {
		return ""
	}
	return obscure(id, s)[:15]
}
