package flow_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// A4.1, X28: however long the work takes below the floor, known and unknown addresses are
// answered at the same moment; nobody waits for a client that has gone, nor above the floor.
func TestAnswersTakeTheSameTime(t *testing.T) {
	t.Parallel()
	const floor = 20 * time.Millisecond
	requests := map[string]func(*flow.Accounts, context.Context, string) error{
		"recover": func(a *flow.Accounts, ctx context.Context, email string) error {
			return a.Recover(ctx, flow.Recovery{Email: email})
		},
		"otp": func(a *flow.Accounts, ctx context.Context, email string) error {
			_, err := a.SendOTP(ctx, flow.OTP{Email: email})
			return err
		},
		"resend": func(a *flow.Accounts, ctx context.Context, email string) error {
			_, err := a.Resend(ctx, flow.Resend{Type: "signup", Email: email})
			return err
		},
		"a wrong code": func(a *flow.Accounts, ctx context.Context, email string) error {
			_, err := a.Verify(ctx, flow.Verify{Type: "email", Email: email, Code: "123456"})
			if auth.CodeOf(err) == auth.CodeOTPExpired {
				return nil
			}
			return err
		},
	}
	for name, request := range requests {
		for _, c := range []struct {
			name, email string
			work, want  time.Duration
			gone        bool
		}{
			{"known", "a@x.org", 3 * time.Millisecond, floor, false},
			{"unknown", "nobody@x.org", 0, floor, false},
			{"slower than the floor", "a@x.org", 2 * floor, 2 * floor, false},
			{"the client has gone", "nobody@x.org", 0, 0, true},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b, _ := messages(t)
					b.config.AnswerAfter = floor
					waiting := account()
					waiting.EmailConfirmedAt = time.Time{}
					b.knows(waiting)
					b.store.redeem = func(auth.Redeem) (auth.RedeemResult, error) { <-time.After(c.work); return auth.RedeemResult{}, nil }
					b.store.issue = func(auth.IssueOneTime) error { <-time.After(c.work); return nil }
					ctx, cancel := context.WithCancel(t.Context())
					if c.gone {
						cancel()
					}
					defer cancel()
					began := time.Now()
					if err := request(b.accounts(), ctx, c.email); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(began); took != c.want {
						t.Errorf("took %v, want %v", took, c.want)
					}
				})
			})
		}
	}
}
