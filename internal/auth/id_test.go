package auth_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func TestNewID(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 8_999_999, time.UTC)
	for _, c := range []struct {
		name, want string
		fill       byte
	}{
		{"zeros", "019cb75a-9ea0-7000-8000-000000000000", 0},
		{"ones", "019cb75a-9ea0-7fff-bfff-ffffffffffff", 0xff},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			id, err := auth.NewID(at, bytes.NewReader(bytes.Repeat([]byte{c.fill}, 16)))
			if err != nil {
				t.Fatal(err)
			}
			// RFC 9562 §5.7: milliseconds, version 7, variant 10.
			var ms int64
			for _, b := range id[:6] {
				ms = ms<<8 | int64(b)
			}
			if ms != at.UnixMilli() || id[6]>>4 != 7 || id[8]>>6 != 2 {
				t.Errorf("%s: %d ms, version %d, variant %b", id, ms, id[6]>>4, id[8]>>6)
			}
			if got := id.String()[14:]; got != c.want[14:] {
				t.Errorf("random part %s, want %s", got, c.want[14:])
			}
		})
	}
	t.Run("later ids sort later", func(t *testing.T) {
		t.Parallel()
		var last auth.ID
		for i := range 300 {
			id, err := auth.NewID(at.Add(time.Duration(i)*time.Millisecond), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Compare(last[:], id[:]) >= 0 || last.String() >= id.String() {
				t.Fatalf("%s is not after %s", id, last)
			}
			last = id
		}
	})
	t.Run("distinct within a millisecond", func(t *testing.T) {
		t.Parallel()
		seen := map[auth.ID]bool{}
		for range 1000 {
			id, err := auth.NewID(at, rand.Reader)
			if err != nil || seen[id] {
				t.Fatalf("%s again, %v", id, err)
			}
			seen[id] = true
		}
	})
	for name, r := range map[string]io.Reader{
		"broken source of randomness": iotest.ErrReader(io.ErrClosedPipe),
		"too little randomness":       bytes.NewReader(make([]byte, 15)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if id, err := auth.NewID(at, r); err == nil || !id.IsZero() {
				t.Errorf("%s, %v: want the zero id and an error", id, err)
			}
		})
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	const s = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"canonical", s, true},
		{"capitals", strings.ToUpper(s), true},
		{"zero", auth.ID{}.String(), true},
		{"empty", "", false},
		{"braces", "{" + s + "}", false},
		{"URN", "urn:uuid:" + s, false},
		{"no hyphens", strings.ReplaceAll(s, "-", ""), false},
		{"hyphens elsewhere", "0197a1b2c-3d4-7e5f-8a9b-0c1d2e3f4a5b", false},
		{"hyphen as a digit", "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5-", false},
		{"not hexadecimal", "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5g", false},
		{"one short", s[:35], false},
		{"one long", s + "0", false},
		{"blank behind", s + " ", false},
		{"line end behind", s[:35] + "\n", false},
		{"NUL", s[:35] + "\x00", false},
		{"letters of another script", "0197а1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			id, err := auth.ParseID(c.in)
			if (err == nil) != c.ok {
				t.Fatalf("ParseID(%q): %v", c.in, err)
			}
			if c.ok && id.String() != strings.ToLower(c.in) || !c.ok && !id.IsZero() {
				t.Errorf("ParseID(%q) = %s", c.in, id)
			}
			var u auth.ID
			if err := u.UnmarshalText([]byte(c.in)); (err == nil) != c.ok || u != id {
				t.Errorf("UnmarshalText(%q) = %s, %v", c.in, u, err)
			}
		})
	}
	t.Run("a refused text leaves the id alone", func(t *testing.T) {
		t.Parallel()
		id := auth.ID{1}
		if err := id.UnmarshalText([]byte("x")); err == nil || id != (auth.ID{1}) {
			t.Errorf("%s, %v", id, err)
		}
	})
}

// FuzzParseID: one id has one spelling, but for case.
func FuzzParseID(f *testing.F) {
	f.Add("0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")
	f.Add("0197A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B")
	f.Add("{0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}")
	f.Add("00000000-0000-0000-0000-000000000000")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := auth.ParseID(s)
		if err != nil {
			if !id.IsZero() {
				t.Errorf("%q: an id %s with an error", s, id)
			}
			return
		}
		if !strings.EqualFold(id.String(), s) || len(s) != 36 {
			t.Errorf("%q reads as %s", s, id)
		}
		text, err := id.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := auth.ParseID(string(text)); err != nil || back != id {
			t.Errorf("%s comes back as %s, %v", id, back, err)
		}
	})
}

func TestTruncate(t *testing.T) {
	t.Parallel()
	in := time.Date(2026, 1, 2, 3, 4, 5, 678_901_999, time.FixedZone("x", 5*3600))
	got := auth.Truncate(in)
	if want := time.Date(2026, 1, 1, 22, 4, 5, 678_901_000, time.UTC); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if !auth.Truncate(time.Time{}).IsZero() {
		t.Error("the zero time means \"not set\" and has to stay zero")
	}
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	cause := errors.New("secret detail")
	for _, c := range []struct {
		name string
		err  error
		want auth.Code
	}{
		{"ours", auth.E(auth.CodeUserBanned, "x"), auth.CodeUserBanned},
		{"ours with a cause", auth.Wrap(auth.CodeUnavailable, cause), auth.CodeUnavailable},
		{"wrapped", errors.Join(io.EOF, auth.E(auth.CodeConflict, "")), auth.CodeConflict},
		{"foreign", cause, auth.CodeInternal},
		{"of a store", auth.ErrNotFound, auth.CodeInternal},
		{"none", nil, auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := auth.CodeOf(c.err); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	err := &auth.Error{Code: auth.CodeInternal, Message: "for people", Cause: cause}
	if got := err.Error(); got != "internal: for people: secret detail" {
		t.Errorf("text for the log: %q", got)
	}
	if !errors.Is(err, cause) || errors.Unwrap(auth.E(auth.CodeInternal, "")) != nil {
		t.Error("Unwrap does not give the cause")
	}
	if got := auth.E(auth.CodeBadID, "").Error(); got != "bad_id" {
		t.Errorf("text without message: %q", got)
	}
}
