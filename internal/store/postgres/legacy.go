package postgres

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
)

// States of Store.adopted.
const (
	adoptedUnknown = iota
	adoptedYes
	adoptedNo
)

// isAdopted reports whether schema auth was GoTrue's. It is asked once: a server does not
// run on a schema that is still to be adopted. Thereafter a refresh token that is not ours
// costs a database that never was GoTrue's nothing.
func (s *Store) isAdopted(ctx context.Context) (bool, error) {
	if state := s.adopted.Load(); state != adoptedUnknown {
		return state == adoptedYes, nil
	}
	var adopted bool
	if err := s.pool.QueryRow(ctx, "SELECT to_regclass('auth.cardea_adoption') IS NOT NULL").Scan(&adopted); err != nil {
		return false, storeError("adopted", err)
	}
	state := int32(adoptedNo)
	if adopted {
		state = adoptedYes
	}
	s.adopted.Store(state)
	return adopted, nil
}

// legacyToken reads GoTrue's own table, which we never write. Good was the token that was
// not revoked, and its parent, for a client that had lost the answer. Sessions of OAuth
// clients are none of a person's own.
const legacyToken = `
SELECT r.session_id, r.revoked IS NOT TRUE OR coalesce(r.token = (SELECT a.parent FROM auth.refresh_tokens a
	WHERE a.session_id = r.session_id AND a.revoked IS NOT TRUE ORDER BY a.id DESC LIMIT 1), false)
FROM auth.refresh_tokens r JOIN auth.sessions s ON s.id = r.session_id
WHERE r.token = $1 AND s.oauth_client_id IS NULL AND s.refresh_token_hmac_key IS NULL`

// LegacyToken gives the session of a refresh token that a replaced GoTrue has made, of its
// first kind, and the number that it stands for in the session: 0, or auth.RefreshOutdated
// for one that was exchanged already. auth.ErrNotFound when there is no such token.
func (s *Store) LegacyToken(ctx context.Context, token string) (auth.ID, int64, error) {
	if adopted, err := s.isAdopted(ctx); err != nil || !adopted {
		return auth.ID{}, 0, orNotFound(err)
	}
	var (
		session auth.ID
		good    bool
	)
	if err := s.pool.QueryRow(ctx, legacyToken, token).Scan((*[16]byte)(&session), &good); err != nil {
		return auth.ID{}, 0, storeError("refresh token of GoTrue", err)
	}
	if !good {
		return session, auth.RefreshOutdated, nil
	}
	return session, 0, nil
}

// LegacyKey gives the key with which a replaced GoTrue has made the refresh tokens of a
// session, and the number of the newest of them. auth.ErrNotFound when there is none, or
// when it is not readable.
func (s *Store) LegacyKey(ctx context.Context, session auth.ID) (key []byte, newest int64, err error) {
	if adopted, err := s.isAdopted(ctx); err != nil || !adopted {
		return nil, 0, orNotFound(err)
	}
	var (
		text    string
		counter int64
	)
	err = s.pool.QueryRow(ctx, `SELECT refresh_token_hmac_key, refresh_token_counter FROM auth.sessions
		WHERE id = $1 AND oauth_client_id IS NULL AND refresh_token_hmac_key IS NOT NULL AND refresh_token_counter IS NOT NULL`,
		uuid(session)).Scan(&text, &counter)
	if err != nil {
		return nil, 0, storeError("refresh key of GoTrue", err)
	}
	key, newest, ok := parseLegacyKey(text, counter)
	if !ok {
		return nil, 0, auth.ErrNotFound
	}
	return key, newest, nil
}

// parseLegacyKey reads a key as GoTrue has left it, which has come to counter, or as our
// first rotation has marked it: gotrue:NEWEST:KEY.
func parseLegacyKey(text string, counter int64) (key []byte, newest int64, ok bool) {
	newest = counter
	if rest, marked := strings.CutPrefix(text, "gotrue:"); marked {
		number, encoded, cut := strings.Cut(rest, ":")
		n, err := strconv.ParseInt(number, 10, 64)
		if !cut || err != nil {
			return nil, 0, false
		}
		newest, text = n, encoded
	}
	key, err := base64.RawURLEncoding.DecodeString(text)
	return key, newest, err == nil && newest >= 0 && newest <= counter
}

func orNotFound(err error) error {
	if err != nil {
		return err
	}
	return auth.ErrNotFound
}
