package grant_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/grant"
)

// flows has one flow, for one caller.
type flows struct {
	flow  *auth.FlowState
	asked string
	user  func() (auth.User, error)
}

func (f *flows) TakeFlowState(_ context.Context, hash string) (auth.FlowState, auth.User, error) {
	f.asked = hash
	if f.flow == nil {
		return auth.FlowState{}, auth.User{}, auth.ErrNotFound
	}
	flow := *f.flow
	f.flow = nil
	u, err := f.user()
	return flow, u, err
}

// TestPKCE: RFC 7636 with its own example, the five minutes, and one try only.
func TestPKCE(t *testing.T) {
	t.Parallel()
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // appendix B
	good := auth.FlowState{ID: auth.ID{1}, UserID: auth.ID{2}, Challenge: challenge, ChallengeMethod: "s256", Method: auth.MethodOTP, CodeIssuedAt: now().Add(-time.Minute)}
	with := func(change func(*auth.FlowState)) *auth.FlowState {
		f := good
		change(&f)
		return &f
	}
	gone := func() (auth.User, error) { return auth.User{}, auth.ErrNotFound }
	for _, c := range []struct {
		name string
		flow *auth.FlowState
		in   grant.Request
		user func() (auth.User, error)
		want auth.Code
	}{
		{"right", &good, grant.Request{AuthCode: "code", CodeVerifier: verifier}, nil, ""},
		{"plain", with(func(f *auth.FlowState) { f.ChallengeMethod, f.Challenge = "plain", verifier }), grant.Request{AuthCode: "code", CodeVerifier: verifier}, nil, ""},
		{"no code", &good, grant.Request{CodeVerifier: verifier}, nil, auth.CodeValidation},
		{"no verifier", &good, grant.Request{AuthCode: "code"}, nil, auth.CodeValidation},
		{"unknown or used", nil, grant.Request{AuthCode: "code", CodeVerifier: verifier}, nil, auth.CodeFlowNotFound},
		{"old", with(func(f *auth.FlowState) { f.CodeIssuedAt = now().Add(-5 * time.Minute) }), grant.Request{AuthCode: "code", CodeVerifier: verifier}, nil, auth.CodeFlowExpired},
		{"never issued", with(func(f *auth.FlowState) { f.CodeIssuedAt = time.Time{} }), grant.Request{AuthCode: "code", CodeVerifier: verifier}, nil, auth.CodeFlowExpired},
		{"challenge as verifier", &good, grant.Request{AuthCode: "code", CodeVerifier: challenge}, nil, auth.CodeBadVerifier},
		{"wrong verifier", &good, grant.Request{AuthCode: "code", CodeVerifier: verifier + "x"}, nil, auth.CodeBadVerifier},
		{"flow without a challenge", with(func(f *auth.FlowState) { f.Challenge, f.ChallengeMethod = "", "plain" }), grant.Request{AuthCode: "code", CodeVerifier: verifier}, nil, auth.CodeBadVerifier},
		{"account gone", &good, grant.Request{AuthCode: "code", CodeVerifier: verifier}, gone, auth.CodeFlowNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &flows{user: func() (auth.User, error) { return auth.User{ID: auth.ID{2}}, nil }}
			if c.flow != nil {
				f := *c.flow
				s.flow = &f
			}
			if c.user != nil {
				s.user = c.user
			}
			g := &grant.PKCE{Store: s, Now: now}
			proof, err := g.Prove(t.Context(), &c.in)
			if c.want == "" {
				sum := sha256.Sum256([]byte("code"))
				if err != nil || proof.User == nil || proof.Method != auth.MethodOTP || s.asked != hex.EncodeToString(sum[:]) {
					t.Errorf("%+v, %v, asked %q", proof, err, s.asked)
				}
				return
			}
			if err == nil || auth.CodeOf(err) != c.want || proof.User != nil {
				t.Errorf("%+v, %v, want %s", proof, err, c.want)
			}
			// A wrong verifier has used the code up: a thief of the code gets one guess.
			if c.want == auth.CodeBadVerifier {
				if _, err := g.Prove(t.Context(), &grant.Request{AuthCode: "code", CodeVerifier: verifier}); auth.CodeOf(err) != auth.CodeFlowNotFound {
					t.Errorf("a second try: %v", err)
				}
			}
		})
	}
	sum := sha256.Sum256([]byte(verifier))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != challenge {
		t.Error("the example is not the RFC's")
	}
}

// TestAttempt: the application hears of every try, also at nobody's account, and may refuse
// only what is somebody's.
func TestAttempt(t *testing.T) {
	t.Parallel()
	type try struct {
		user  auth.ID
		valid bool
	}
	var seen []try
	refuse := errors.New("no")
	known := auth.User{ID: auth.ID{7}, PasswordHash: "hash:right"}
	tr := &trail{}
	g := &grant.Password{
		Store: &fakeFinder{tr, func(_, address, _ string) (auth.User, error) {
			if address == "a@x.org" {
				return known, nil
			}
			return auth.User{}, auth.ErrNotFound
		}},
		Hasher: &fakeHasher{trail: tr}, EmailEnabled: true,
		Attempt: func(_ context.Context, user auth.ID, valid bool, _ string) error {
			seen = append(seen, try{user, valid})
			return refuse
		},
	}
	for _, c := range []struct {
		email, password string
		want            error
	}{{"a@x.org", "right", refuse}, {"a@x.org", "wrong", refuse}, {"nobody@x.org", "right", nil}} {
		_, err := g.Prove(t.Context(), &grant.Request{Email: c.email, Password: c.password})
		if c.want != nil && !errors.Is(err, c.want) || c.want == nil && auth.CodeOf(err) != auth.CodeInvalidCredentials {
			t.Errorf("%s %s: %v", c.email, c.password, err)
		}
	}
	if len(seen) != 3 || seen[0] != (try{known.ID, true}) || seen[1] != (try{known.ID, false}) || seen[2] != (try{}) {
		t.Errorf("%+v", seen)
	}
}
