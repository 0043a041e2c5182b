package flow_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/token"
)

// wantOutcome is wantCode for cases that may also go well: "".
func wantOutcome(t *testing.T, err error, want auth.Code) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && auth.CodeOf(err) != want {
		t.Errorf("%v, want %q", err, want)
	}
}

// Who may look at and end somebody's sessions, and see where he is a member: operators, and
// those who may change, or read, everybody and stand above him.
func TestOverSessions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		actor flow.Actor
		of    byte
		want  auth.Code // of sessions
		read  auth.Code // of memberships
	}{
		{"operator", anOperator(), boss, "", ""},
		{"administrator", by(boss), ann, "", ""},
		{"clerk", by(clerk), ann, "", ""},
		{"clerk, an administrator", by(clerk), boss, auth.CodeForbidden, ""},
		{"agent, his customer", by(agent), ann, auth.CodeForbidden, auth.CodeForbidden},
		{"owner of a tenant, its member", by(owner), manager, auth.CodeForbidden, auth.CodeForbidden},
		{"anybody", by(ann), bob, auth.CodeForbidden, auth.CodeForbidden},
		{"nobody", by(boss), 99, auth.CodeUserNotFound, auth.CodeUserNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := inTown(t)
			p, ctx, session := w.people(), t.Context(), id(200+c.of)
			list, err := p.SessionsOf(ctx, c.actor, id(c.of))
			wantOutcome(t, err, c.want)
			_, err = flow.NewTenancy(w.config).Of(ctx, c.actor, id(c.of))
			wantOutcome(t, err, c.read)
			if c.want != "" {
				wantCode(t, p.EndSessionOf(ctx, c.actor, id(c.of), session), c.want)
				wantCode(t, p.EndSessionsOf(ctx, c.actor, id(c.of)), c.want)
				w.untouched(t)
				return
			}
			if len(list) != 1 || list[0].ID != session {
				t.Errorf("%+v", list)
			}
			wantCode(t, p.EndSessionOf(ctx, c.actor, id(c.of), id(200+other)), auth.CodeSessionUnknown)
			w.untouched(t)
			wantOutcome(t, p.EndSessionOf(ctx, c.actor, id(c.of), session), "")
			w.audited(t, "logout", c.actor.Caller.UserID, id(c.of).String())
			wantOutcome(t, p.EndSessionsOf(ctx, c.actor, id(c.of)), "")
		})
	}
}

// What can't be looked up is an error, never an empty list that looks like an answer.
func TestOverSessionsWhenTheStoreFails(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"PersonByID", "SessionsOf"} {
		w := inTown(t)
		w.d.broken[method] = errors.New("down")
		if list, err := w.people().SessionsOf(t.Context(), anOperator(), id(ann)); err == nil || list != nil {
			t.Errorf("%s: %v, %v", method, list, err)
		}
	}
	w := inTown(t)
	w.d.broken["MembershipsOf"] = errors.New("down")
	if list, err := flow.NewTenancy(w.config).Of(t.Context(), anOperator(), id(ann)); err == nil || list != nil {
		t.Errorf("%v, %v", list, err)
	}
}

// machine is what Operations work on, with a log of what happened in which order.
type machine struct {
	log     []string
	entries []auth.AuditEntry
	keys    []auth.SigningKey
	fail    map[string]error
}

func (m *machine) did(what string) error {
	m.log = append(m.log, what)
	return m.fail[what]
}

func (m *machine) WriteAudit(_ context.Context, e ...auth.AuditEntry) error {
	if err := m.did("audit"); err != nil {
		return err
	}
	m.entries = append(m.entries, e...)
	return nil
}

func (m *machine) DeadMessages(context.Context, int) ([]auth.Message, error) {
	return nil, m.did("dead")
}

func (m *machine) RetryMessage(context.Context, auth.ID, time.Time) error { return m.did("retry") }

// ring and apiKeys give machine's methods the names of two interfaces.
type (
	ring    struct{ *machine }
	apiKeys struct{ *machine }
)

func (r ring) List() []auth.SigningKey { return r.keys }
func (r ring) Rotate(context.Context, auth.KeyUse) (auth.SigningKey, error) {
	return auth.SigningKey{ID: "next"}, r.did("rotate")
}
func (r ring) Revoke(context.Context, string) error { return r.did("revoke key") }

func (k apiKeys) Create(_ context.Context, name, kind string) (string, auth.APIKey, error) {
	return "plain", auth.APIKey{Name: name, Kind: kind}, k.did("create key")
}
func (k apiKeys) List(context.Context) ([]auth.APIKey, error) { return nil, k.did("list") }
func (k apiKeys) Revoke(context.Context, auth.ID) error       { return k.did("revoke api key") }

// Nothing is done to the server as a whole that is not in the audit log before, with who did
// it and why.
func TestOperations(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	rotate := func(o *flow.Operations, a flow.Actor) error {
		_, err := o.RotateKeys(context.Background(), a, auth.KeyUseAccess)
		return err
	}
	revoke := func(o *flow.Operations, a flow.Actor) error { return o.RevokeKey(context.Background(), a, "old") }
	create := func(o *flow.Operations, a flow.Actor) error {
		_, _, err := o.CreateAPIKey(context.Background(), a, "console", auth.APIKeySecret)
		return err
	}
	end := func(o *flow.Operations, a flow.Actor) error { return o.RevokeAPIKey(context.Background(), a, id(1)) }
	retry := func(o *flow.Operations, a flow.Actor) error { return o.RetryMessage(context.Background(), a, id(1)) }
	for _, c := range []struct {
		name   string
		do     func(*flow.Operations, flow.Actor) error
		fail   map[string]error
		log    []string
		action string
		want   auth.Code
	}{
		{"rotate", rotate, nil, []string{"audit", "rotate"}, "key_rotate", ""},
		{"rotate, no audit", rotate, map[string]error{"audit": down}, []string{"audit"}, "", auth.CodeInternal},
		{"rotate keys of the configuration", rotate, map[string]error{"rotate": token.ErrConfigured}, []string{"audit", "rotate"}, "key_rotate", auth.CodeFeatureDisabled},
		{"rotate at once", rotate, map[string]error{"rotate": auth.ErrConflict}, []string{"audit", "rotate"}, "key_rotate", auth.CodeConflict},
		{"rotate without a standby", rotate, map[string]error{"rotate": token.ErrNoStandby}, []string{"audit", "rotate"}, "key_rotate", auth.CodeConflict},
		{"rotate, down", rotate, map[string]error{"rotate": down}, []string{"audit", "rotate"}, "key_rotate", auth.CodeInternal},
		{"revoke", revoke, nil, []string{"audit", "revoke key"}, "key_revoke", ""},
		{"revoke, no audit", revoke, map[string]error{"audit": down}, []string{"audit"}, "", auth.CodeInternal},
		{"revoke what signs", revoke, map[string]error{"revoke key": token.ErrInUse}, []string{"audit", "revoke key"}, "key_revoke", auth.CodeConflict},
		{"revoke what is gone", revoke, map[string]error{"revoke key": auth.ErrNotFound}, []string{"audit", "revoke key"}, "key_revoke", auth.CodeBadID},
		{"make an API key", create, nil, []string{"audit", "create key"}, "api_key_create", ""},
		{"make an API key, no audit", create, map[string]error{"audit": down}, []string{"audit"}, "", auth.CodeInternal},
		{"revoke an API key", end, nil, []string{"audit", "revoke api key"}, "api_key_revoke", ""},
		{"revoke none", end, map[string]error{"revoke api key": auth.ErrNotFound}, []string{"audit", "revoke api key"}, "api_key_revoke", auth.CodeBadID},
		{"retry", retry, nil, []string{"audit", "retry"}, "message_retry", ""},
		{"retry none", retry, map[string]error{"retry": auth.ErrNotFound}, []string{"audit", "retry"}, "message_retry", auth.CodeBadID},
		{"retry, down", retry, map[string]error{"retry": down}, []string{"audit", "retry"}, "message_retry", auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := &machine{fail: c.fail, keys: []auth.SigningKey{{ID: "old"}, {ID: ""}}}
			o := flow.NewOperations(inTown(t).config, m, ring{m}, apiKeys{m})
			a := anOperator()
			a.Reason, a.Caller.APIKey, a.Caller.IP = " because ", "sb_secret_abcdef", "192.0.2.7"
			wantOutcome(t, c.do(o, a), c.want)
			if d := cmp.Diff(c.log, m.log); d != "" {
				t.Error(d)
			}
			if c.action == "" {
				return
			}
			e := m.entries[0]
			if e.Action != c.action || e.ActorUsername != auth.RoleServiceRole || e.IP != "192.0.2.7" ||
				e.Traits["reason"] != "because" || e.Traits["api_key"] != "sb_secret_abcdef" || e.ID.IsZero() || e.At.IsZero() {
				t.Errorf("%+v", e)
			}
		})
	}
}

// What is not right is refused before anything is written, to the audit log too.
func TestOperationsRefuse(t *testing.T) {
	t.Parallel()
	m := &machine{keys: []auth.SigningKey{{ID: "old"}, {ID: ""}}}
	o := flow.NewOperations(inTown(t).config, m, ring{m}, apiKeys{m})
	ctx, a := t.Context(), anOperator()
	_, err := o.RotateKeys(ctx, a, "everything")
	wantCode(t, err, auth.CodeValidation)
	for _, kid := range []string{"", "unknown", "old\x00", strings.Repeat("x", 10_000)} {
		wantCode(t, o.RevokeKey(ctx, a, kid), auth.CodeBadID)
	}
	for _, bad := range [][2]string{{"x", "royal"}, {"a\x00b", auth.APIKeySecret}, {strings.Repeat("x", 401), auth.APIKeySecret}} {
		_, _, err := o.CreateAPIKey(ctx, a, bad[0], bad[1])
		wantCode(t, err, auth.CodeValidation)
	}
	for _, reason := range []string{"a\x00b", strings.Repeat("x", 501), "\xff"} {
		a.Reason = reason
		wantCode(t, o.RetryMessage(ctx, a, id(1)), auth.CodeValidation)
	}
	if len(m.log) != 0 {
		t.Errorf("%v", m.log)
	}
}
