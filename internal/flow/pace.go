package flow

import (
	"context"
	"time"
)

// evenly begins the time that an answer to a stranger takes at least, and gives what waits
// for its end:
//
//	answer := a.c.evenly(ctx)
//	defer answer()
//
// To send a message to an account writes more rows than to do as if. What the writes take
// would tell the two apart; a floor above both hides it, whatever the database. It can't hide
// work that takes longer than the floor: a database that is that slow still tells.
func (c *Config) evenly(ctx context.Context) func() {
	if c.AnswerAfter <= 0 {
		return func() {}
	}
	t := time.NewTimer(c.AnswerAfter)
	return func() {
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}
