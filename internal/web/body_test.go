package web_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

func TestParseObjectRefusesWithACode(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body string
		code       auth.Code
	}{
		{"empty", "", auth.CodeBadJSON},
		{"blanks", " \n\t", auth.CodeBadJSON},
		{"null", "null", auth.CodeBadJSON},
		{"array", "[]", auth.CodeBadJSON},
		{"text", `"x"`, auth.CodeBadJSON},
		{"number", "5", auth.CodeBadJSON},
		{"cut off", `{"a":`, auth.CodeBadJSON},
		{"two values", `{} {}`, auth.CodeBadJSON},
		{"junk behind", `{}x`, auth.CodeBadJSON},
		{"duplicate name", `{"email":"a","email":"b"}`, auth.CodeBadJSON},
		{"duplicate name, escaped", `{"email":"a","\u0065mail":"b"}`, auth.CodeBadJSON},
		{"duplicate name, nested", `{"data":{"a":1,"a":2}}`, auth.CodeBadJSON},
		{"duplicate name, nested in a list", `{"data":[{"a":1,"a":2}]}`, auth.CodeBadJSON},
		{"33 levels", strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), auth.CodeBadJSON},
		{"100,000 lists", `{"a":` + strings.Repeat("[", 100_000), auth.CodeBadJSON},
		{"NUL, escaped", `{"a":"\u0000"}`, auth.CodeValidation},
		{"NUL in a name", `{"\u0000":1}`, auth.CodeValidation},
		{"lone surrogate", `{"a":"\ud800"}`, auth.CodeValidation},
		{"reversed surrogates", `{"a":"\udc00\ud800"}`, auth.CodeValidation},
		{"bad UTF-8", "{\"a\":\"\xff\"}", auth.CodeValidation},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o, err := web.ParseObject([]byte(tc.body))
			if o != nil || auth.CodeOf(err) != tc.code {
				t.Fatalf("got %v, %v; want no object and %s", o, err, tc.code)
			}
		})
	}
}

func TestParseObjectTakesWhatClientsSend(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{}`,
		` {"email":"a@b.c","gotrue_meta_security":{},"code_challenge":null} `,
		`{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}`, // one name at several places is no duplicate
		`{"a":"\ud83d\ude00","b":"😀","c":"\\u0000"}`,
		strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32),
	} {
		if _, err := web.ParseObject([]byte(body)); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// Names match exactly: a filter that looks at "email" and we must read the same request.
func TestNamesMatchExactly(t *testing.T) {
	t.Parallel()
	o, err := web.ParseObject([]byte(`{"EMAIL":"a","Password":"b"}`))
	if err != nil {
		t.Fatal(err)
	}
	f := o.Fields()
	if e, p := f.String("email"), f.String("password"); e != "" || p != "" || f.Err() != nil {
		t.Fatalf("read %q and %q from names in another case (%v)", e, p, f.Err())
	}
}

func TestFieldsNameTheWrongOne(t *testing.T) {
	t.Parallel()
	o, err := web.ParseObject([]byte(`{"email":5,"ok":"x","data":[],"flag":"true","null":null}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(*web.Fields){
		"email": func(f *web.Fields) { f.String("email") },
		"data":  func(f *web.Fields) { f.Object("data") },
		"flag":  func(f *web.Fields) { f.Bool("flag") },
	} {
		f := o.Fields()
		read(f)
		var e *auth.Error
		if !errors.As(f.Err(), &e) || e.Code != auth.CodeBadJSON || !strings.Contains(e.Message, name) {
			t.Errorf("%s: %v", name, f.Err())
		}
	}
	f := o.Fields()
	if f.OptString("null") != nil || f.OptString("absent") != nil || f.String("ok") != "x" || f.Err() != nil {
		t.Errorf("null and absent members are not given, and no error: %v", f.Err())
	}
}

// Whatever is accepted is one valid JSON object without duplicate names at the top, and can
// be stored as jsonb.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":{"b":[1,2,{"c":null}]}}`, `{"a":1,"a":2}`, `{"\ud800":1}`, "\x00", `{"a":"\u0000"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := web.ParseObject(body)
		if err != nil {
			if o != nil {
				t.Fatal("an object and an error")
			}
			if c := auth.CodeOf(err); c != auth.CodeBadJSON && c != auth.CodeValidation {
				t.Fatalf("code %s", c)
			}
			return
		}
		again, err := json.Marshal(o)
		if err != nil || !json.Valid(again) {
			t.Fatalf("does not encode again: %v", err)
		}
		if bytes.Contains(again, []byte(`\u0000`)) && !bytes.Contains(again, []byte(`\\u0000`)) {
			t.Fatalf("a NUL got through: %s", again)
		}
	})
}
