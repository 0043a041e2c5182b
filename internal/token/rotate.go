package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/seal"
)

// Rotate makes the standby key of a use current and the current one previous, and adds a
// new standby; the answer is the key that is current now, without its secret part. No
// request is lost: every node and every cached key set knew the standby before, and what
// the previous key has signed stays valid until it expires.
//
// That holds for one rotation per polling interval: a second one soon after signs with a
// key that other nodes and caches see for the first time.
//
// Errors: [ErrConfigured] for keys that come from the configuration, [ErrNoStandby],
// auth.ErrConflict when somebody else rotated at the same time.
func (r *Ring) Rotate(ctx context.Context, use auth.KeyUse) (auth.SigningKey, error) {
	switch use {
	case auth.KeyUseAccess, auth.KeyUseAPIKey:
		if r.config.source() != ringSigns {
			return auth.SigningKey{}, ErrConfigured
		}
	case auth.KeyUseRefresh:
	default:
		return auth.SigningKey{}, fmt.Errorf("token: unknown key use %q", use)
	}
	if err := r.Reload(ctx); err != nil {
		return auth.SigningKey{}, err
	}
	current, haveCurrent := r.find(use, auth.KeyCurrent)
	standby, haveStandby := r.find(use, auth.KeyStandby)
	if !haveCurrent || !haveStandby {
		return auth.SigningKey{}, ErrNoStandby
	}
	if err := r.lock(ctx); err != nil {
		return auth.SigningKey{}, err
	}
	box := r.box
	r.unlock()
	now := auth.Truncate(r.config.Now())
	next, err := r.newRow(use, auth.KeyStandby, box, now)
	if err != nil {
		return auth.SigningKey{}, err
	}
	if err := r.config.Store.RotateKeys(ctx, current.ID, next, now); err != nil {
		return auth.SigningKey{}, fmt.Errorf("token: rotate %s keys: %w", use, err)
	}
	if err := r.Reload(ctx); err != nil {
		return auth.SigningKey{}, err
	}
	for _, row := range r.List() {
		if row.ID == standby.ID {
			return row, nil
		}
	}
	return auth.SigningKey{}, fmt.Errorf("token: rotate %s keys: the new current key %s has gone", use, standby.ID)
}

// Revoke ends a previous key at once: this node refuses its tokens when the call returns,
// others after their next poll. Every session, or API key, with a token of that key has to
// get a new one. Errors: [ErrConfigured], [ErrInUse] for a current or standby key,
// auth.ErrNotFound.
func (r *Ring) Revoke(ctx context.Context, kid string) error {
	for _, k := range r.given {
		if k.row.ID == kid {
			return ErrConfigured
		}
	}
	switch err := r.config.Store.RevokeKey(ctx, kid, auth.Truncate(r.config.Now())); {
	case errors.Is(err, auth.ErrConflict):
		return ErrInUse
	case err != nil:
		return fmt.Errorf("token: revoke key: %w", err)
	}
	return r.Reload(ctx)
}

// Rewrap seals every key anew under the first key of box, which takes the place of the
// ring's own box: the rotation of the key-encryption key. All rows change or none. Revoked
// keys that don't open any more are left as they are; nothing ever opens them again.
//
// Nodes that have not been given the new key-encryption key can't read the ring from then
// on and keep the keys that they have in memory.
func (r *Ring) Rewrap(ctx context.Context, box *seal.Box) error {
	if box == nil {
		return errors.New("token: rewrap: no key-encryption key")
	}
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	for range 3 { // again for keys that another node has made meanwhile
		rows, err := r.config.Store.SigningKeys(ctx)
		if err != nil {
			return fmt.Errorf("token: read keys: %w", err)
		}
		sealed, err := r.resealed(rows, box)
		if err != nil {
			return err
		}
		if len(sealed) == 0 {
			r.box = box
			return r.take(rows)
		}
		if err := r.config.Store.ReplaceSealed(ctx, sealed); err != nil {
			return fmt.Errorf("token: rewrap: %w", err)
		}
	}
	return errors.New("token: rewrap: other nodes keep making keys under the old key-encryption key")
}

// resealed gives the rows that are not under the new key yet.
func (r *Ring) resealed(rows []auth.SigningKey, box *seal.Box) (map[string][]byte, error) {
	sealed := map[string][]byte{}
	for i := range rows {
		row := &rows[i]
		if box.Current(row.Sealed) {
			continue
		}
		plain, err := r.box.Open(row.Sealed, sealContext(row))
		if err != nil {
			if row.Status == auth.KeyRevoked {
				continue
			}
			return nil, fmt.Errorf("token: rewrap key %s: %w", row.ID, err)
		}
		if sealed[row.ID], err = box.Seal(plain, sealContext(row)); err != nil {
			return nil, err
		}
	}
	return sealed, nil
}
