package mirror

import (
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// S2.42: what a notice may look like, once its signature is right.
func TestReadPasswordChanged(t *testing.T) {
	t.Parallel()
	const id = "019ca869-507b-7433-8c63-482deacec8d6"
	for _, c := range []struct {
		name, body string
		want       auth.Code
		madeAt     time.Time
	}{
		{"S2's", `{"user_id":"` + id + `"}`, "", time.Time{}},
		{"with more", `{"user_id":"` + id + `","event":"password_changed","email":"a@x.org"}`, "", time.Time{}},
		{"with seconds", `{"user_id":"` + id + `","timestamp":1772352000}`, "", time.Unix(1772352000, 0)},
		{"with a time", `{"user_id":"` + id + `","timestamp":"2026-03-01T08:00:00.5Z"}`, "", time.Unix(1772352000, 5e8)},
		{"without a time", `{"user_id":"` + id + `","timestamp":null}`, "", time.Time{}},
		{"nobody", `{}`, auth.CodeValidation, time.Time{}},
		{"nobody's id", `{"user_id":"00000000-0000-0000-0000-000000000000"}`, auth.CodeValidation, time.Time{}},
		{"no id", `{"user_id":"ada"}`, auth.CodeValidation, time.Time{}},
		{"a number", `{"user_id":7}`, auth.CodeBadJSON, time.Time{}},
		{"in capitals", `{"USER_ID":"` + id + `"}`, auth.CodeValidation, time.Time{}},
		{"two of them", `{"user_id":"` + id + `","user_id":"` + id + `"}`, auth.CodeBadJSON, time.Time{}},
		{"a time that is none", `{"user_id":"` + id + `","timestamp":"today"}`, auth.CodeValidation, time.Time{}},
		{"a fraction", `{"user_id":"` + id + `","timestamp":1.5}`, auth.CodeValidation, time.Time{}},
		{"an exponent", `{"user_id":"` + id + `","timestamp":1e9}`, auth.CodeValidation, time.Time{}},
		{"zero", `{"user_id":"` + id + `","timestamp":0}`, auth.CodeValidation, time.Time{}},
		{"year 1", `{"user_id":"` + id + `","timestamp":"0001-01-01T00:00:00Z"}`, auth.CodeValidation, time.Time{}},
		{"overflow", `{"user_id":"` + id + `","timestamp":99999999999999999999}`, auth.CodeValidation, time.Time{}},
		{"a list", `{"user_id":"` + id + `","timestamp":[1]}`, auth.CodeValidation, time.Time{}},
		{"no object", `[]`, auth.CodeBadJSON, time.Time{}},
		{"nothing", ``, auth.CodeBadJSON, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			user, madeAt, err := readPasswordChanged([]byte(c.body))
			if c.want != "" {
				if err == nil || auth.CodeOf(err) != c.want || !user.IsZero() || !madeAt.IsZero() {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || user.String() != id || !madeAt.Equal(c.madeAt) {
				t.Errorf("%v %s %s", err, user, madeAt)
			}
		})
	}
}

func FuzzReadPasswordChanged(f *testing.F) {
	for _, s := range []string{
		`{"user_id":"019ca869-507b-7433-8c63-482deacec8d6"}`, `{"user_id":"019ca869-507b-7433-8c63-482deacec8d6","timestamp":1772352000}`,
		`{"user_id":"019ca869-507b-7433-8c63-482deacec8d6","timestamp":"2026-03-01T08:00:00Z"}`, `{}`, `[]`, `{"user_id":null,"timestamp":-1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		user, madeAt, err := readPasswordChanged(body)
		if (err == nil) == user.IsZero() || err != nil && !madeAt.IsZero() {
			t.Errorf("%s %s beside %v", user, madeAt, err)
		}
	})
}
