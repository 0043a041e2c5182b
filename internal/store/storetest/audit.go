package storetest

import (
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func auditCases() []testCase {
	return []testCase{
		{"entries are written together or not at all", auditAlone},
	}
}

func auditAlone(_ *testing.T, e *env) {
	first, second := audit(1, "key_rotated", "key"), audit(2, "api_key_created", "key")
	second.At = second.At.Add(time.Second)
	second.Traits = map[string]any{"reason": "é", "name": `"`}
	e.ok("none", e.WriteAudit(e.ctx))
	e.ok("two", e.WriteAudit(e.ctx, first, second))
	e.wantAudit("two", first, second)
	third := audit(3, "key_revoked", "key")
	if err := e.WriteAudit(e.ctx, []auth.AuditEntry{third, first}...); err == nil {
		e.tb.Error("an id was taken twice")
	}
	e.wantAudit("after the refusal", first, second)
}
