package grant_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/grant"
)

type fakeLegacy struct {
	*trail
	key []byte
	err error
}

func (l fakeLegacy) LegacyToken(_ context.Context, text string) (auth.ID, int64, error) {
	l.add("look up " + text)
	if text == "aaaaaaaaaaaa" {
		return auth.ID{7}, auth.RefreshOutdated, l.err
	}
	return auth.ID{}, 0, auth.ErrNotFound
}

func (l fakeLegacy) LegacyKey(_ context.Context, session auth.ID) (key []byte, newest int64, err error) {
	l.add("key")
	if session != (auth.ID{7}) {
		return nil, 0, auth.ErrNotFound
	}
	return l.key, 5, l.err
}

// counted is a token of GoTrue's second kind.
func counted(session byte, counter byte, key []byte) string {
	b := append([]byte{0, session}, strings.Repeat("\x00", 15)...)
	b = append(b, counter)
	mac := hmac.New(sha256.New, key)
	mac.Write(b)
	b = append(b, mac.Sum(nil)[:16]...)
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:4]...))
}

// Refresh tokens of a replaced GoTrue: what the database is asked, and what the session is
// asked for then. A mistyped token costs no question, and the key in a row makes no token
// that GoTrue can't have made.
func TestLegacyRefresh(t *testing.T) {
	t.Parallel()
	key, other := []byte("0123456789abcdef0123456789abcdef"), []byte("another key, another key, anothe")
	for _, c := range []struct {
		name, token string
		err         error
		want        auth.Code
		asked       []string
		number      int64
	}{
		{"a row", "aaaaaaaaaaaa", nil, "", []string{"look up aaaaaaaaaaaa", "rotate"}, auth.RefreshOutdated},
		{"no row", "bbbbbbbbbbbb", nil, auth.CodeRefreshNotFound, []string{"look up bbbbbbbbbbbb"}, 0},
		{"the database fails", "aaaaaaaaaaaa", errors.New("boom"), auth.CodeInternal, []string{"look up aaaaaaaaaaaa"}, 0},
		{"no legacy form", "AAAAAAAAAAAA", nil, auth.CodeRefreshMalformed, []string{}, 0},
		{"a number", counted(7, 5, key), nil, "", []string{"key", "rotate"}, 5},
		{"an older number", counted(7, 2, key), nil, "", []string{"key", "rotate"}, 2},
		{"a number that GoTrue never came to", counted(7, 6, key), nil, auth.CodeRefreshMalformed, []string{"key"}, 0},
		{"another key", counted(7, 5, other), nil, auth.CodeRefreshMalformed, []string{"key"}, 0},
		{"another session", counted(8, 5, key), nil, auth.CodeRefreshMalformed, []string{"key"}, 0},
		{"the database fails for a number", counted(7, 5, key), errors.New("boom"), auth.CodeInternal, []string{"key"}, 0},
		{"mistyped", counted(7, 5, key)[1:], nil, auth.CodeRefreshMalformed, []string{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			refresh, _ := b.config.Grants["refresh_token"].(grant.Refresh)
			refresh.Legacy = fakeLegacy{b.trail, key, c.err}
			b.config.Grants["refresh_token"] = refresh
			b.store.rotate = func(r auth.Rotation) (auth.RotationResult, error) {
				b.rotated = append(b.rotated, r)
				return auth.RotationResult{Outcome: auth.Rotated, Session: auth.Session{ID: r.SessionID}}, nil
			}
			_, err := b.exchange(t, grant.Request{Grant: "refresh_token", RefreshToken: c.token})
			if c.want != "" && auth.CodeOf(err) != c.want || c.want == "" && err != nil {
				t.Errorf("%v, want %q", err, c.want)
			}
			asked := []string{}
			for _, s := range b.all() {
				if s != "issue" {
					asked = append(asked, s)
				}
			}
			if d := cmp.Diff(c.asked, asked); d != "" {
				t.Error(d)
			}
			if c.want == "" && (b.rotated[0].SessionID != auth.ID{7} || b.rotated[0].Counter != c.number) {
				t.Errorf("rotated %+v", b.rotated[0])
			}
		})
	}
	b := setup(t) // no GoTrue was ever here
	for _, text := range []string{"aaaaaaaaaaaa", counted(7, 5, key)} {
		if _, err := b.exchange(t, grant.Request{Grant: "refresh_token", RefreshToken: text}); err == nil || b.count("rotate") != 0 {
			t.Errorf("%s: %v", text, err)
		}
	}
}
