package token_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/token"
)

// refused checks that a token is refused in the one way there is (gotrue.md 3.4).
func refused(t interface{ Errorf(string, ...any) }, ring *token.Ring, text string) {
	id, n, err := ring.ParseRefresh(text)
	if auth.CodeOf(err) != auth.CodeRefreshMalformed || !id.IsZero() || n != 0 {
		t.Errorf("ParseRefresh(%q) = %v, %d, %v", text, id, n, err)
		return
	}
	if want := "refresh_malformed: Refresh token is not valid"; err.Error() != want {
		t.Errorf("ParseRefresh(%q): %q, want %q", text, err, want)
	}
}

func TestRefreshRoundTrip(t *testing.T) {
	t.Parallel()
	f := setup(t)
	rapid.Check(t, func(rt *rapid.T) {
		id := auth.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "id"))
		counter := rapid.Int64Range(0, math.MaxInt64).Draw(rt, "counter")
		text := f.ring.Refresh(id, counter)
		if again := f.ring.Refresh(id, counter); again != text {
			rt.Fatalf("not the same twice: %s, %s", text, again)
		}
		gotID, gotCounter, err := f.ring.ParseRefresh(text)
		if err != nil || gotID != id || gotCounter != counter {
			rt.Fatalf("ParseRefresh = %v, %d, %v", gotID, gotCounter, err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			rt.Fatal(err)
		}
		at := rapid.IntRange(0, len(raw)-1).Draw(rt, "at")
		raw[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "change"))
		refused(rt, f.ring, base64.RawURLEncoding.EncodeToString(raw))
		// With the checksum repaired only the MAC is left to refuse.
		if at < len(raw)-4 {
			refused(rt, f.ring, withChecksum(raw[:len(raw)-4]))
		}
	})
}

func withChecksum(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(append(b[:len(b):len(b)], sum[:4]...))
}

func TestRefreshLayout(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, session := person()
	raw, err := base64.RawURLEncoding.DecodeString(f.ring.Refresh(session.ID, 300))
	if err != nil {
		t.Fatal(err)
	}
	want := binary.AppendUvarint(append([]byte{0}, session.ID[:]...), 300)
	if got := raw[:len(raw)-20]; string(got) != string(want) {
		t.Errorf("head %x, want %x", got, want)
	}
	if sum := sha256.Sum256(raw[:len(raw)-4]); string(raw[len(raw)-4:]) != string(sum[:4]) {
		t.Error("checksum is not SHA-256 of what precedes it")
	}
}

// TestRefreshAbuse: no spelling but ours, and no key but ours.
func TestRefreshAbuse(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, session := person()
	good := f.ring.Refresh(session.ID, 5)
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(counter []byte, key string) string {
		b := append(append([]byte{0}, session.ID[:]...), counter...)
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(b)
		return withChecksum(append(b, mac.Sum(nil)[:16]...))
	}
	for _, tc := range []struct{ name, text string }{
		{"empty", ""},
		{"eleven characters", "abcdefghijk"},
		{"version 1 of GoTrue", "4nyn2jydhcq3"},
		{"huge", strings.Repeat("A", 1<<20)},
		{"padding", good + "="},
		{"line break at the end", good + "\n"},
		{"line break inside", good[:20] + "\r\n" + good[20:]},
		{"space", " " + good},
		{"NUL", good + "\x00"},
		{"standard alphabet", strings.Repeat("+/", 30)},
		{"cut", good[:len(good)-1]},
		{"longer", good + "AAAA"},
		{"other version", base64.RawURLEncoding.EncodeToString(append([]byte{1}, raw[1:]...))},
		{"MAC without key", forge([]byte{6}, "")},
		{"MAC with the session id as key", forge([]byte{6}, string(session.ID[:]))},
		{"counter with a zero on top", forge([]byte{0x86, 0}, "")},
		{"counter overflows", forge([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}, "")},
		{"negative counter of our own", f.ring.Refresh(session.ID, -1)},
		{"no counter", forge(nil, "")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			refused(t, f.ring, tc.text)
		})
	}
	t.Run("of another deployment", func(t *testing.T) {
		t.Parallel()
		refused(t, setup(t).ring, good)
	})
	t.Run("stray bits in the last character", func(t *testing.T) {
		t.Parallel()
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		accepted := 0
		for _, c := range alphabet {
			if _, _, err := f.ring.ParseRefresh(good[:len(good)-1] + string(c)); err == nil {
				accepted++
			}
		}
		if accepted != 1 {
			t.Errorf("%d spellings of one token", accepted)
		}
	})
}

// TestRefreshRotation: a rotation of the master signs nobody out, its revocation does, and
// a node that has not heard of a rotation knows the new master already.
func TestRefreshRotation(t *testing.T) {
	t.Parallel()
	f := setup(t)
	other := f.open(t)
	_, session := person()
	before := f.ring.Refresh(session.ID, 5)
	first := byUse(f.ring, auth.KeyUseRefresh, auth.KeyCurrent).ID
	if _, err := f.ring.Rotate(t.Context(), auth.KeyUseRefresh); err != nil {
		t.Fatal(err)
	}
	after := f.ring.Refresh(session.ID, 6)
	for _, text := range []string{before, after} {
		for name, ring := range map[string]*token.Ring{"this node": f.ring, "the other node": other} {
			if _, _, err := ring.ParseRefresh(text); err != nil {
				t.Errorf("%s refuses: %v", name, err)
			}
		}
	}
	if err := f.ring.Revoke(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	refused(t, f.ring, before)
	if _, _, err := f.ring.ParseRefresh(after); err != nil {
		t.Error(err)
	}
}

func FuzzParseRefresh(f *testing.F) {
	ring := setup(f).ring
	_, session := person()
	good := ring.Refresh(session.ID, 5)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add("")
	f.Add("4nyn2jydhcq3")
	f.Fuzz(func(t *testing.T, text string) {
		id, counter, err := ring.ParseRefresh(text)
		if err != nil {
			refused(t, ring, text)
			return
		}
		if read, ok := token.ReadRefresh(text); !ok || read.Session != id || read.Counter != counter {
			t.Fatalf("%q reads as %+v", text, read)
		}
		if again := ring.Refresh(id, counter); again != text {
			t.Fatalf("%q parses as %v, %d, which is written %q", text, id, counter, again)
		}
	})
}

func BenchmarkRefresh(b *testing.B) {
	ring := setup(b).ring
	_, session := person()
	text := ring.Refresh(session.ID, 5)
	b.Run("make", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ring.Refresh(session.ID, 5)
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := ring.ParseRefresh(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// With the key in its row a GoTrue that takes the schema back reads what we have made; the
// key of one session is none of another's.
func TestSessionKey(t *testing.T) {
	t.Parallel()
	ring := setup(t).ring
	_, session := person()
	key, err := base64.RawURLEncoding.DecodeString(ring.SessionKey(session.ID))
	if err != nil || len(key) != 32 {
		t.Fatalf("%d bytes, %v", len(key), err)
	}
	read, ok := token.ReadRefresh(ring.Refresh(session.ID, 300))
	if !ok || read.Session != session.ID || read.Counter != 300 || !read.MadeWith(key) {
		t.Errorf("%+v", read)
	}
	other, err := base64.RawURLEncoding.DecodeString(ring.SessionKey(auth.ID{9}))
	if err != nil || read.MadeWith(other) || read.MadeWith(nil) || read.MadeWith(key[:8]) {
		t.Errorf("a token is good with the key of another session (%v)", err)
	}
}
