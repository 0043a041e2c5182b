package token

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// bare is a ring with one refresh master and nothing else.
func bare() (*Ring, *key) {
	master := &key{row: auth.SigningKey{Use: auth.KeyUseRefresh}, private: make([]byte, masterSize)}
	r := &Ring{}
	r.state.Store(&snapshot{refresh: master, masters: []*key{master}})
	return r, master
}

// TestRefreshCanonical signs other spellings of a counter with the real master: even with
// a right MAC, a token has one form only.
func TestRefreshCanonical(t *testing.T) {
	t.Parallel()
	r, master := bare()
	session := auth.ID{1, 2, 3}
	text := func(counter []byte) string {
		b := append(append([]byte{refreshVersion}, session[:]...), counter...)
		mac := macOf(master, session, b)
		b = append(b, mac[:]...)
		sum := sha256.Sum256(b)
		return base64.RawURLEncoding.EncodeToString(append(b, sum[:refreshChecksum]...))
	}
	for _, tc := range []struct {
		name    string
		counter []byte
		ok      bool
	}{
		{"zero", []byte{0}, true},
		{"largest", binary.AppendUvarint(nil, math.MaxInt64), true},
		{"one more", binary.AppendUvarint(nil, math.MaxInt64+1), false},
		{"zero on top", []byte{0x85, 0x00}, false},
		{"two zeros on top", []byte{0x85, 0x80, 0x00}, false},
		{"bytes behind", []byte{5, 0}, false},
		{"unfinished", []byte{0x85}, false},
		{"overflow", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, false},
		{"none", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := r.ParseRefresh(text(tc.counter))
			if (err == nil) != tc.ok {
				t.Errorf("ParseRefresh: %v, want ok %v", err, tc.ok)
			}
		})
	}
}

// TestRoleCacheIsBounded: a flood of invented keys costs a bounded amount of memory and
// does not push out the keys in use.
func TestRoleCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newRoleCache()
	now := time.Unix(1803888000, 0)
	name := func(i int) cacheKey { return sha256.Sum256(fmt.Append(nil, i)) }
	for i := range 100 {
		c.put(name(i), answer{role: auth.RoleAnon}, now, time.Time{})
	}
	for i := range 5 * maxBad {
		c.put(name(1_000_000+i), answer{err: errAPIKey()}, now, time.Time{})
		if len(c.bad) > maxBad {
			t.Fatalf("%d refusals are remembered", len(c.bad))
		}
	}
	for i := range 100 {
		if _, ok := c.get(name(i), now); !ok {
			t.Fatal("a key in use was pushed out")
		}
	}
	for i := range 5 * maxGood {
		c.put(name(i), answer{role: auth.RoleAnon}, now.Add(time.Duration(i)*time.Millisecond), time.Time{})
		if len(c.good) > maxGood {
			t.Fatalf("%d keys are remembered", len(c.good))
		}
	}
}

func TestRoleCacheForgets(t *testing.T) {
	t.Parallel()
	c := newRoleCache()
	now := time.Unix(1803888000, 0)
	c.put(cacheKey{1}, answer{role: auth.RoleAnon}, now, time.Time{})
	c.put(cacheKey{2}, answer{role: auth.RoleAnon}, now, now.Add(time.Second))
	generation := c.generation()
	hits := func(at time.Time) (n int) {
		for i := range byte(4) {
			if _, ok := c.get(cacheKey{i}, at); ok {
				n++
			}
		}
		return n
	}
	for _, tc := range []struct {
		after time.Duration
		want  int
	}{{0, 2}, {time.Second, 1}, {cacheFor - 1, 1}, {cacheFor, 0}} {
		if got := hits(now.Add(tc.after)); got != tc.want {
			t.Errorf("after %v: %d answers, want %d", tc.after, got, tc.want)
		}
	}
	c.clear()
	c.putIf(generation, cacheKey{3}, answer{role: auth.RoleServiceRole}, now)
	if got := hits(now); got != 0 {
		t.Errorf("%d answers from before the revocation", got)
	}
}

// TestLearnFailure: while the store is away an unknown kid is unreachable, not unknown,
// also for those who come within the window and ask nobody.
func TestLearnFailure(t *testing.T) {
	t.Parallel()
	away := errors.New("database is away")
	now := time.Unix(1803888000, 0)
	r := &Ring{busy: make(chan struct{}, 1), config: Config{Now: func() time.Time { return now }, Store: failing{away}}}
	r.state.Store(&snapshot{})
	for range 3 {
		if err := r.learn(t.Context()); !errors.Is(err, away) {
			t.Errorf("learn: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.busy <- struct{}{} // somebody reloads and does not come to an end
	now = now.Add(learnEvery)
	if err := r.learn(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who gave up: %v", err)
	}
	<-r.busy
}

type failing struct{ err error }

func (f failing) SigningKeys(context.Context) ([]auth.SigningKey, error) { return nil, f.err }
func (f failing) InstallKeys(context.Context, auth.KeyUse, []auth.SigningKey) error {
	return f.err
}

func (f failing) RotateKeys(context.Context, string, auth.SigningKey, time.Time) error {
	return f.err
}
func (f failing) RevokeKey(context.Context, string, time.Time) error     { return f.err }
func (f failing) ReplaceSealed(context.Context, map[string][]byte) error { return f.err }
