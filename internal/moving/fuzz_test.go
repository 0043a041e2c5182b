package moving_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/moving"
	"github.com/cardea-auth/cardea/internal/password"
)

// rules are those of a server that knows the role physician and the tenant north.
func rules() moving.Rules {
	physician := func(name string) bool { return name == "physician" }
	return moving.Rules{
		Audience: "authenticated", ValidHash: password.ValidHash, Phone: auth.NormalizePhone, Role: physician, TenantRole: physician,
		Tenant: func(_ context.Context, m moving.Member) (auth.ID, error) {
			if m.Slug == "north" || m.External != "" {
				return auth.ID{15: 1}, nil
			}
			return auth.ID{}, auth.ErrNotFound
		},
		Invite: func(u *auth.User) ([]auth.OneTime, []auth.Message, error) {
			return []auth.OneTime{{UserID: u.ID, Address: u.Email}}, nil, nil
		},
		Now: func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC) }, Rand: rand.Reader,
	}
}

// sink is a store that looks at what it is given.
type sink struct {
	t        testing.TB
	accounts int
	last     int64
}

func (s *sink) StartImport(_ context.Context, p auth.MoveProgress, _ bool) (auth.MoveProgress, error) {
	return p, nil
}

// MoveAccounts checks what every account that is stored must be.
func (s *sink) MoveAccounts(_ context.Context, b auth.MoveBatch) ([]auth.MoveOutcome, error) {
	if b.Progress.Position < s.last {
		s.t.Errorf("position %d after %d", b.Progress.Position, s.last)
	}
	s.last = b.Progress.Position
	out := make([]auth.MoveOutcome, len(b.Accounts))
	seen := map[string]bool{}
	for i := range b.Accounts {
		s.accounts++
		a := &b.Accounts[i]
		u := &a.User
		out[i] = auth.Moved
		s.text(a.ExternalID, u.Aud, u.Role, u.Email, u.Phone, u.PasswordHash)
		if a.ExternalID == "" || seen[a.ExternalID] || u.ID.IsZero() || u.Role != auth.RoleAuthenticated || u.CreatedAt.IsZero() {
			s.t.Errorf("account %+v", a)
		}
		seen[a.ExternalID] = true
		if email, err := auth.NormalizeEmail(u.Email); u.Email != "" && (err != nil || email != u.Email) {
			s.t.Errorf("address %q", u.Email)
		}
		if u.PasswordHash != "" && (password.ValidHash(u.PasswordHash) != nil || len(u.PasswordHash) > 255) {
			s.t.Errorf("hash %q", u.PasswordHash)
		}
		docs := []json.RawMessage{u.AppMetadata, u.UserMetadata}
		for k := range u.Identities {
			docs = append(docs, u.Identities[k].Data)
			s.text(u.Identities[k].Provider, u.Identities[k].ProviderID)
		}
		if p := a.Profile; p != nil {
			docs = append(docs, p.Preferences, p.Notifications, p.Privacy, p.Flags)
			for _, doc := range p.Extensions {
				docs = append(docs, doc)
			}
			s.text(p.FullName, p.BirthDate, p.ImageURL, p.Language)
		}
		for _, doc := range docs {
			var members map[string]json.RawMessage
			if !auth.CleanJSON(doc) || json.Unmarshal(doc, &members) != nil || members == nil {
				s.t.Errorf("document %q", doc)
			}
		}
		var roles struct {
			Roles []string `json:"roles"`
		}
		_ = json.Unmarshal(u.AppMetadata, &roles)
		for _, r := range roles.Roles {
			if r != "physician" {
				s.t.Errorf("role %q", r)
			}
		}
	}
	return out, nil
}

func (s *sink) text(all ...string) {
	for _, text := range all {
		if !auth.CleanText(text) {
			s.t.Errorf("text %q", text)
		}
	}
}

// fuzzed imports whatever a reader makes of the data, twice: as it is, and leaving out what
// can be left out. It ends, it never stores what can't be stored, and it counts right.
func fuzzed(t *testing.T, data []byte, open func(data []byte) (moving.Reader, error)) {
	t.Helper()
	for _, lenient := range []bool{false, true} {
		r, err := open(data)
		if err != nil {
			return
		}
		s := &sink{t: t}
		c := moving.Config{
			Store: s, Rules: rules(), Name: "fuzz", Source: "fuzz", Batch: 3,
			Problem: func(p moving.Problem) error {
				if p.Code == "" || p.Reason == "" || p.Line < 1 || bytes.ContainsRune([]byte(p.Reason), 0) {
					t.Errorf("problem %+v", p)
				}
				return nil
			},
			Audit: func(p *auth.MoveProgress) (auth.AuditEntry, error) { return auth.AuditEntry{At: p.UpdatedAt}, nil },
		}
		c.Rules.DropBadHashes, c.Rules.DropUnknown, c.Rules.ConfirmAll, c.Rules.InviteAll = lenient, lenient, lenient, lenient
		totals, err := moving.Import(t.Context(), c, func(auth.MoveProgress) (moving.Reader, error) { return r, nil })
		if int64(s.accounts) != totals.Moved || totals.Moved+totals.Refused+totals.Left != totals.Read || totals.Read > int64(len(data))+1 {
			t.Errorf("%d accounts, %+v, %v", s.accounts, totals, err)
		}
	}
}

func FuzzCardea(f *testing.F) {
	f.Add([]byte(`{"id":"01020304-0506-4075-8000-000000000001","email":"a@x.org","app_metadata":{"roles":["physician"]},"profile":{"full_name":"A","extensions":{"physician":{}}},"memberships":[{"tenant":"north","role":"physician","state":"active"}]}`))
	f.Add([]byte("[{\"id\":\"x\"},{\"id\":\"\\ud800\"}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzed(t, data, func(data []byte) (moving.Reader, error) { return moving.Cardea(bytes.NewReader(data)), nil })
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("email,password_hash,roles,tenant,tenant_role\na@x.org," + bcrypt + ",physician,north,physician\n\"b\"\"@x.org\",,,,\n"))
	f.Add([]byte("email\n\"a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzed(t, data, func(data []byte) (moving.Reader, error) { return moving.CSV(bytes.NewReader(data)) })
	})
}

func FuzzSupabase(f *testing.F) {
	f.Add([]byte(gotrueRow() + "\n" + `{"id":"x","deleted_at":"2021-02-03T04:05:06Z"}`))
	f.Add([]byte("id,email,raw_app_meta_data\n01020304-0506-4075-8000-000000000001,a@x.org,{}\n"))
	f.Add([]byte("COPY auth.users (id, email) FROM stdin;\n01020304-0506-4075-8000-000000000001\ta@x.org\\t\n\\.\nCOPY auth.identities (user_id, provider, provider_id) FROM stdin;\n01020304-0506-4075-8000-000000000001\tgoogle\t1\n\\.\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, form := range []string{moving.FormNDJSON, moving.FormCSV, moving.FormDump} {
			fuzzed(t, data, func(data []byte) (moving.Reader, error) {
				return moving.Supabase(bytes.NewReader(data), bytes.NewReader(data), form)
			})
			fuzzed(t, data, func(data []byte) (moving.Reader, error) { return moving.Supabase(bytes.NewReader(data), nil, form) })
		}
	})
}

func FuzzFirebase(f *testing.F) {
	f.Add([]byte(firebaseFile))
	f.Add([]byte(`{"a":"\"]","users":[1,{"localId":"a","phoneNumber":"+491"}]}`))
	h := moving.FirebaseHash{SignerKey: signerKey, SaltSeparator: "Bw==", Rounds: 8, MemCost: 14}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzed(t, data, func(data []byte) (moving.Reader, error) { return moving.Firebase(bytes.NewReader(data), h) })
	})
}

func FuzzAuth0(f *testing.F) {
	f.Add([]byte(`{"user_id":"auth0|1","email":"a@x.org","identities":[{"provider":"google-oauth2","user_id":7}],"app_metadata":{"roles":["physician"]}}`))
	f.Add([]byte(`{"_id":{"$oid":"1"},"passwordHash":"` + bcrypt + `","email":"a@x.org"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzed(t, data, func(data []byte) (moving.Reader, error) {
			return moving.Auth0(bytes.NewReader(data), bytes.NewReader(data))
		})
		fuzzed(t, data, func(data []byte) (moving.Reader, error) { return moving.Auth0(bytes.NewReader(data), nil) })
	})
}

func FuzzKeycloak(f *testing.F) {
	f.Add([]byte(`{"users":[{"id":"01020304-0506-4075-8000-000000000001","email":"a@x.org","credentials":[{"type":"password","secretData":"{\"value\":\"BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM=\",\"salt\":\"c2FsdHNhbHRzYWx0c2FsdA==\"}","credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\"}"}]}]}`))
	f.Add([]byte(`{"users":[{"username":"a@x.org","credentials":[{"type":"password","secretData":"{\"value\":\"QUJD\",\"salt\":\"QUJD\"}","credentialData":"{\"hashIterations\":-1,\"algorithm\":\"argon2\",\"additionalParameters\":{\"memory\":[\"99999999\"],\"type\":[\"id\"],\"version\":[\"1.3\"]}}"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzed(t, data, func(data []byte) (moving.Reader, error) { return moving.Keycloak(bytes.NewReader(data)), nil })
	})
}

// FuzzGroups: besides, what was the ciphertext is nowhere.
func FuzzGroups(f *testing.F) {
	f.Add([]byte("doctor_email,vendor_id,password,roles\na@x.org,17,\\xc30d04,{physician}\n"))
	f.Add([]byte(`{"doctor_email":"a@x.org","password":"c30d04","roles":["physician"],"settings":{"a":1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, form := range []string{moving.FormNDJSON, moving.FormCSV, moving.FormDump} {
			open := func(data []byte) (moving.Reader, error) {
				return moving.Groups(bytes.NewReader(data), moving.GroupsConfig{Form: form})
			}
			fuzzed(t, data, open)
		}
		secret, err := json.Marshal(string(data) + "-ciphertext")
		if err != nil {
			return
		}
		doc := fmt.Sprintf(`{"doctor_email":"a@x.org","password":%s}`, secret)
		rec, err := moving.GroupsRow(moving.GroupsConfig{})([]byte(doc), 1)
		var p *moving.Problem
		if err != nil && !errors.As(err, &p) {
			t.Error(err)
		}
		if strings.Contains(fmt.Sprintf("%+v", rec), "-ciphertext") {
			t.Error("the ciphertext is still there")
		}
	})
}
