package synctest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/usersync"
)

func tasksOfChange(t *testing.T, db Database) {
	heard := func(change func(*usersync.Request)) func(*usersync.Request) {
		return func(r *usersync.Request) {
			r.Consumers = []string{hooks, webhook}
			if change != nil {
				change(r)
			}
		}
	}
	u := must(t, db.A, request(1, "s1", heard(nil)), usersync.ActionCreate)
	must(t, db.A, request(2, "s1", heard(nil)), usersync.ActionNone)
	must(t, db.A, request(3, "s1", heard(proved(mail, ""))), usersync.ActionUpdate)
	must(t, db.A, request(4, "s4", heard(proved(mail, ""))), usersync.ActionRepoint)
	if _, err := db.A.Edit(t.Context(), usersync.Edit{
		ID: u.ID, At: at(5), EventID: "event-5", Consumers: []string{hooks, webhook}, Status: usersync.StatusDeactivated,
	}); err != nil {
		t.Fatal(err)
	}

	var got []string
	for _, task := range lease(t, db.B, webhook, 10, 100) {
		var e usersync.Event
		if err := json.Unmarshal(task.Payload, &e); err != nil {
			t.Fatal(err)
		}
		if e.ID != task.ID || e.Data.User.ID != u.ID {
			t.Errorf("event %+v in task %s", e, task.ID)
		}
		got = append(got, fmt.Sprint(e.ID, " ", e.Type, " ", e.Data.User.Version))
	}
	want := "event-1 user.created 1, event-3 user.updated 2, event-4 user.linked 3, event-5 user.status 4"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("events:\n%s\nwant:\n%s", s, want)
	}
	// The hook belongs to whoever created the user, until that takes too long.
	if list := lease(t, db.B, hooks, 10, 100); len(list) != 0 {
		t.Errorf("for the hook, at once: %+v", list)
	}
	if list := lease(t, db.B, hooks, 40, 100); len(list) != 1 || list[0].ID != "event-1" || list[0].Attempts != 2 {
		t.Errorf("for the hook: %+v", list)
	}
	forgets(t, db, heard)
}

// forgets: what nobody was told yet goes with the user, but for the news of the deletion.
func forgets(t *testing.T, db Database, heard func(func(*usersync.Request)) func(*usersync.Request)) {
	t.Helper()
	deleted := heard(func(r *usersync.Request) { r.Identity.Standing = usersync.StandingDeleted })
	must(t, db.A, request(106, "s4", deleted), usersync.ActionUpdate)
	must(t, db.A, request(107, "s4", heard(nil)), usersync.ActionRefuse)
	must(t, db.A, request(108, "s8", deleted), usersync.ActionCreate)
	if list := lease(t, db.B, webhook, 300, 100); len(list) != 1 || list[0].ID != "event-106" || strings.Contains(string(list[0].Payload), mail) {
		t.Errorf("after the deletion: %+v", list)
	}
	if list := lease(t, db.B, hooks, 300, 100); len(list) != 0 {
		t.Errorf("for the hook, after the deletion: %+v", list)
	}
}

// lease takes what is due, for 30 s.
func lease(t *testing.T, s usersync.Store, consumer string, now, most int) []usersync.Task {
	t.Helper()
	list, err := s.Lease(t.Context(), consumer, at(now), at(now+30), most)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func settle(t *testing.T, s usersync.Store, task usersync.Task, o usersync.Outcome) {
	t.Helper()
	if err := s.Settle(t.Context(), task, o); err != nil {
		t.Fatal(err)
	}
}

func leases(t *testing.T, db Database) {
	add := func(name string, due int) {
		task := usersync.Task{ID: name, Consumer: webhook, Payload: []byte(`{"a":1}`), DueAt: at(due), CreatedAt: at(due)}
		if err := db.A.Enqueue(t.Context(), task); err != nil {
			t.Fatal(err)
		}
	}
	ids := func(list []usersync.Task) (s string) {
		for _, task := range list {
			s += fmt.Sprint(task.ID, task.Attempts, " ")
		}
		return s
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	add("a", 1)
	add("b", 2)
	add("b", 1) // is there
	add("c", 50)
	want("another consumer", ids(lease(t, db.A, hooks, 10, 10)), "")
	first := lease(t, db.A, webhook, 10, 1)
	want("one of two", ids(first), "a1 ")
	want("the rest", ids(lease(t, db.B, webhook, 11, 10)), "b1 ")
	want("nothing is due", ids(lease(t, db.B, webhook, 12, 10)), "")
	second := lease(t, db.B, webhook, 45, 10)
	want("leases that ran out", ids(second), "a2 b2 ")

	settle(t, db.A, first[0], usersync.Outcome{Done: true}) // a lease that is somebody else's now
	settle(t, db.B, second[0], usersync.Outcome{Due: at(60), Reason: "down\x00\n" + strings.Repeat("é", 400)})
	settle(t, db.B, second[1], usersync.Outcome{Done: true})
	want("c is due", ids(lease(t, db.A, webhook, 55, 10)), "c1 ")
	list, err := db.B.Backlog(t.Context())
	if err != nil || len(list) != 1 || list[0].Consumer != webhook || list[0].Tasks != 2 || !list[0].Oldest.Equal(at(1)) ||
		!strings.HasPrefix(list[0].LastError, "down") || len(list[0].LastError) > 500 {
		t.Errorf("backlog %+v, %v", list, err)
	}
	third := lease(t, db.A, webhook, 60, 10)
	want("again", ids(third), "a3 ")
	if string(third[0].Payload) != `{"a":1}` || !strings.HasPrefix(third[0].LastError, "down") || !third[0].CreatedAt.Equal(at(1)) {
		t.Errorf("%+v", third[0])
	}
}

func waiting(t *testing.T, db Database) {
	task := usersync.Task{ID: usersync.WaitingID(issuer, "s1"), Consumer: usersync.ConsumerWaiting, Payload: []byte("{}"), DueAt: at(1), CreatedAt: at(1)}
	if err := db.A.Enqueue(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	must(t, db.A, request(2, "s1", nil), usersync.ActionCreate)
	if list := lease(t, db.A, usersync.ConsumerWaiting, 3, 10); len(list) != 0 {
		t.Errorf("still waiting: %+v", list)
	}
}
