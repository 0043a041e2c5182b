package config

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const issuersFile = `issuers:
  - {name: project, url: https://p.supabase.co, apikey: k}
  - {name: corp, kind: oidc, url: https://id.corp.example/, audiences: [clinic]}
`

// S3.17, X18: whose tokens count.
func TestTrustedIssuers(t *testing.T) {
	t.Parallel()
	supabase := TrustedIssuer{Name: "supabase", Kind: KindSupabase, URL: "https://p.supabase.co", Audiences: []string{"authenticated"}}
	with := func(bend func(*TrustedIssuer)) []TrustedIssuer {
		one := supabase
		bend(&one)
		return []TrustedIssuer{one}
	}
	for _, c := range []struct {
		name string
		env  []string
		file string
		want []TrustedIssuer
		says string // a problem; "" for none
	}{
		{name: "none"},
		{name: "of other programs", env: []string{"SUPABASE_URL=https://p.supabase.co"}},
		{name: "one, beside our own", env: []string{"CARDEA_TRUSTED_ISSUER=https://p.supabase.co"}, want: []TrustedIssuer{supabase}},
		{name: "relay, by the names of Supabase", env: []string{
			"CARDEA_MODE=relay", "SUPABASE_URL=https://p.supabase.co", "SUPABASE_ANON_KEY=anon", "SUPABASE_JWT_SECRET=" + goodSecret, "SUPABASE_JWT_AUDIENCE=a,b",
		}, want: with(func(t *TrustedIssuer) {
			t.APIKey, t.Secret, t.Audiences = Secret("anon"), Secret(goodSecret), []string{"a", "b"}
		})},
		{name: "a file", env: []string{"CARDEA_MODE=relay", "CARDEA_TRUSTED_ISSUERS_FILE=/issuers"}, file: issuersFile, want: []TrustedIssuer{
			{Name: "project", Kind: KindSupabase, URL: "https://p.supabase.co", Audiences: []string{"authenticated"}, APIKey: Secret("k"), ServiceKey: Secret{}, Secret: Secret{}},
			{Name: "corp", Kind: KindOIDC, URL: "https://id.corp.example/", Audiences: []string{"clinic"}, APIKey: Secret{}, ServiceKey: Secret{}, Secret: Secret{}},
		}},
		{name: "relay without anybody", env: []string{"CARDEA_MODE=relay"}, says: "is needed in the mode relay"},
		{name: "plain http", env: []string{"CARDEA_TRUSTED_ISSUER=http://issuer.example"}, says: "must be https outside loopback"},
		{name: "a password in the address", env: []string{"CARDEA_TRUSTED_ISSUER=https://a:b@issuer.example"}, says: "must"},
		{name: "a name of ours", env: []string{"CARDEA_TRUSTED_ISSUER=https://i.example", "CARDEA_TRUSTED_NAME=email"}, says: "neither email nor phone"},
		{name: "a short secret", env: []string{"CARDEA_MODE=relay", "SUPABASE_URL=https://i.example", "SUPABASE_JWT_SECRET=short"}, says: "at least 32"},
		{name: "a secret of a manual", env: []string{"CARDEA_MODE=relay", "SUPABASE_URL=https://i.example", "SUPABASE_JWT_SECRET=super-secret-jwt-token-with-at-least-32-characters-long"}, says: "anyone could make tokens"},
		{name: "an unreadable file", env: []string{"CARDEA_TRUSTED_ISSUERS_FILE=/nothing"}, says: "can't be read"},
		{name: "one name twice", env: []string{"CARDEA_TRUSTED_ISSUERS_FILE=/issuers", "CARDEA_TRUSTED_ISSUER=https://i.example", "CARDEA_TRUSTED_NAME=corp"}, file: issuersFile, says: "two trusted issuers"},
		{name: "a misspelt member", env: []string{"CARDEA_TRUSTED_ISSUERS_FILE=/issuers"}, file: "issuers: [{name: a, uri: x}]", says: "no list of issuers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			read := func(name string) ([]byte, error) {
				if name == "/issuers" {
					return []byte(c.file), nil
				}
				return nil, &os.PathError{Op: "open", Path: name, Err: errors.New("no such file")}
			}
			cfg, r, _ := Load(Sources{Env: serveEnv(c.env...), ReadFile: read})
			var says []string
			for _, p := range r.Problems {
				says = append(says, p.What)
			}
			if c.says == "" && len(says) > 0 || c.says != "" && !strings.Contains(strings.Join(says, "\n"), c.says) {
				t.Fatalf("%q", says)
			}
			if c.says == "" {
				if d := cmp.Diff(c.want, cfg.Relay.Issuers, cmp.Comparer(func(a, b Secret) bool { return string(a) == string(b) })); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

// FuzzIssuers: whatever a file holds, what is taken is whole, or it is refused.
func FuzzIssuers(f *testing.F) {
	for _, seed := range []string{issuersFile, "", "issuers: []", "issuers: [{}]", "issuers: [{name: a, url: javascript:x}]", "a: b\n---\nc: d"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		list, err := parseIssuers(doc)
		if err != nil {
			return
		}
		for _, i := range list {
			if i.check() != nil || len(i.Audiences) == 0 {
				t.Errorf("%+v", i)
			}
		}
	})
}
