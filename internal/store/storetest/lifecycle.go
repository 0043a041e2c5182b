package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
)

func storeCases() []testCase {
	return []testCase{
		{"a cancelled call changes nothing", storeCancelled},
		{"closed", storeClosed},
	}
}

func storeCancelled(_ *testing.T, e *env) {
	e.ok("Ping", e.Ping(e.ctx))
	want := e.create(account(1))
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	e.is("Ping", e.Ping(ctx), context.Canceled)
	e.is("CreateAccount", e.CreateAccount(ctx, account(2)), context.Canceled)
	_, err := e.UserByID(ctx, userID(1))
	e.is("UserByID", err, context.Canceled)
	_, err = e.UpdateUser(ctx, userID(1), auth.UserPatch{At: t0, Role: ptr("x")})
	e.is("UpdateUser", err, context.Canceled)
	e.is("DeleteUser", e.DeleteUser(ctx, userID(1), audit(9, "user_deleted", "team")), context.Canceled)
	e.same("unchanged", want, e.user(1))
	_, err = e.UserByID(e.ctx, userID(2))
	e.is("not created", err, auth.ErrNotFound)
}

func storeClosed(_ *testing.T, e *env) {
	e.create(account(1))
	e.Close()
	_, err := e.UserByID(e.ctx, userID(1))
	if err == nil || errors.Is(err, auth.ErrNotFound) {
		e.tb.Errorf("UserByID after Close: error %v; an account must not seem to be gone", err)
	}
	if err := e.CreateAccount(e.ctx, account(2)); err == nil {
		e.tb.Error("CreateAccount after Close succeeded")
	}
	if err := e.Ping(e.ctx); err == nil {
		e.tb.Error("Ping after Close succeeded")
	}
	e.Close() // the Factory's cleanup closes once more: that must be harmless
}
