package flow_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/hook"
)

// letterbox keeps the notices that were taken.
type letterbox struct {
	taken []auth.SignedNotice
	err   error
}

func (l *letterbox) PasswordChanged(_ context.Context, n auth.SignedNotice) (int64, error) {
	if l.err != nil {
		return 0, l.err
	}
	l.taken = append(l.taken, n)
	return 1, nil
}

const projectSecret = "a secret of the project"

func bodySignature(body string) http.Header {
	m := hmac.New(sha256.New, []byte(projectSecret))
	m.Write([]byte(body))
	return http.Header{hook.HeaderBodySignature: {hex.EncodeToString(m.Sum(nil))}}
}

func (b *bench) webhooks(t *testing.T, box *letterbox, undated bool) *flow.Webhooks {
	t.Helper()
	r, err := hook.NewReceiver("hex", projectSecret, "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	return flow.NewWebhooks(b.config, box, r, undated)
}

// A20.2, B2.35: how old a notice may be, and for how long it is remembered.
func TestPasswordChangedTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		undated bool
		madeAt  time.Time
		want    auth.Code
		until   time.Time
	}{
		{"now", false, at(), "", at().Add(301 * time.Second)},
		{"as old as may be", false, at().Add(-300 * time.Second), "", at().Add(time.Second)},
		{"older", false, at().Add(-300*time.Second - time.Microsecond), auth.CodeWebhookStale, time.Time{}},
		{"a clock that is ahead", false, at().Add(300 * time.Second), "", at().Add(601 * time.Second)},
		{"from the future", false, at().Add(300*time.Second + time.Microsecond), auth.CodeWebhookStale, time.Time{}},
		{"older, where none is needed", true, at().Add(-time.Hour), auth.CodeWebhookStale, time.Time{}},
		{"no time", false, time.Time{}, auth.CodeWebhookStale, time.Time{}},
		{"no time, where none is needed", true, time.Time{}, "", at().Add(300 * time.Second)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, box := setup(t), &letterbox{}
			w := b.webhooks(t, box, c.undated)
			opened, err := w.Open(bodySignature("x"), []byte("x"), auth.Meta{IP: "192.0.2.1"})
			if err != nil {
				t.Fatal(err)
			}
			if err = w.PasswordChanged(t.Context(), opened, id(ann), c.madeAt); codeOf(err) != c.want {
				t.Errorf("%v", err)
			}
			if c.want != "" {
				if len(box.taken) > 0 {
					t.Errorf("%+v", box.taken)
				}
				return
			}
			n := box.taken[0]
			if n.UserID != id(ann) || !n.At.Equal(at()) || !n.Until.Equal(c.until) || n.Digest == [32]byte{} ||
				n.Audit.Action != "sessions_revoked" || n.Audit.ActorUsername != "webhook" || n.Audit.Traits["user_id"] != id(ann).String() || n.Audit.IP != "192.0.2.1" {
				t.Errorf("%+v", n)
			}
		})
	}
}

// A20.2: the time of the headers, which is signed, beats that of the body.
func TestPasswordChangedSignedTime(t *testing.T) {
	t.Parallel()
	b, box := setup(t), &letterbox{}
	w := b.webhooks(t, box, false)
	s, err := hook.ParseSecrets("v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	s.Sign(h, "msg_1", now(), []byte("x"))
	opened, err := w.Open(h, []byte("x"), auth.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.PasswordChanged(t.Context(), opened, id(ann), at().Add(-time.Hour)); err != nil || len(box.taken) != 1 {
		t.Errorf("%v %+v", err, box.taken)
	}
}

// A20.2: what is not signed, was there before, or can't be kept, does nothing.
func TestPasswordChangedRefuses(t *testing.T) {
	t.Parallel()
	b, box := setup(t), &letterbox{}
	limited(b)
	w := b.webhooks(t, box, true)
	if _, err := w.Open(bodySignature("x"), []byte("y"), auth.Meta{}); auth.CodeOf(err) != auth.CodeWebhookSignature {
		t.Errorf("%v", err)
	}
	wantCode(t, w.PasswordChanged(t.Context(), flow.SignedBody{}, id(ann), at()), auth.CodeWebhookSignature)
	opened, err := w.Open(bodySignature("x"), []byte("x"), auth.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	box.err = auth.ErrConflict
	wantCode(t, w.PasswordChanged(t.Context(), opened, id(ann), time.Time{}), auth.CodeWebhookReplayed)
	box.err = errors.New("down")
	wantCode(t, w.PasswordChanged(t.Context(), opened, id(ann), time.Time{}), auth.CodeInternal)
	for i := range 31 {
		if err := w.Admit(auth.Meta{IP: "192.0.2.1"}); (err == nil) != (i < 30) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
