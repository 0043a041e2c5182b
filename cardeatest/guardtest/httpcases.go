package guardtest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea"
)

// httpCases is the part of the table for transports that have HTTP requests.
func httpCases() []testCase {
	return append(append(cases(), placeCases()...), bodyCases()...)
}

func placeCases() []testCase {
	at := func(clinic, query string) testCase {
		return testCase{route: "path", header: doctor(), sent: sent{clinic: clinic, query: query}}
	}
	asked := func(query string) testCase {
		return testCase{route: "owner", header: doctor(), sent: sent{query: query}}
	}
	const where = "tenant in path clinic, query clinic_id"
	return []testCase{
		named("tenant in the path", at("c1", ""), "", ""),
		named("tenant in path and query", at("c1", "clinic_id=c1&clinic_id=c1"), "", ""),
		named("another tenant in the path", at("c2", ""), cardea.CodeTenant, `tenant "c2"`),
		named("another tenant in the query", at("c1", "clinic_id=c2"), cardea.CodeConflictingIDs, where),
		named("another tenant in path and query", at("c2", "clinic_id=c2"), cardea.CodeTenant, `tenant "c2"`),
		named("query of two tenants", at("c1", "clinic_id=c1&clinic_id=c2"), cardea.CodeConflictingIDs, where),
		named("name of a parameter, escaped", at("c1", "clinic%5Fid=c2"), cardea.CodeConflictingIDs, where),
		named("name of a parameter in another case", at("c1", "Clinic_Id=c2"), cardea.CodeRequestInvalid, where),
		named("name of a parameter with brackets", at("c1", "clinic_id[]=c2"), cardea.CodeRequestInvalid, where),

		named("owner, nobody named", asked(""), "", ""),
		named("owner", asked("user_id="+subject), "", ""),
		named("owner, somebody else", asked("user_id=u2"), cardea.CodeOwner, `user "u2"`),
		named("owner, oneself and somebody else", asked("user_id="+subject+"&user_id=u2"), cardea.CodeOwner, `user "u2"`),
		named("owner, in another case", asked("User_ID=u2"), cardea.CodeRequestInvalid, "own id in query user_id"),
		named("owner, with brackets", asked("user_id[0]=u2"), cardea.CodeRequestInvalid, "own id in query user_id"),
		named("owner, empty", asked("user_id="), cardea.CodeOwner, `user ""`),
	}
}

func bodyCases() []testCase {
	const json, form = "application/json", "application/x-www-form-urlencoded"
	body := func(contentType, text string) testCase {
		return testCase{route: "body", header: doctor(), sent: sent{contentType: contentType, body: text}}
	}
	compressed := body(json, `{"clinic_id":"c1"}`)
	compressed.header = with("Content-Encoding", "gzip")
	parts := func(pairs ...string) testCase {
		text := ""
		for n := 0; n < len(pairs); n += 2 {
			text += "--x\r\nContent-Disposition: form-data; name=\"" + pairs[n] + "\"\r\n\r\n" + pairs[n+1] + "\r\n"
		}
		return body("multipart/form-data; boundary=x", text+"--x--\r\n")
	}
	const where = "tenant in body clinic_id"
	return []testCase{
		named("tenant in JSON", body(json, `{"note":"x","clinic_id":"c1"}`), "", ""),
		named("tenant in a form", body(form, "clinic_id=c1&note=x"), "", ""),
		named("another tenant in JSON", body(json, `{"clinic_id":"c2"}`), cardea.CodeTenant, `tenant "c2"`),
		named("another tenant in a form", body(form, "clinic_id=c2"), cardea.CodeTenant, `tenant "c2"`),
		named("JSON without tenant", body(json, `{"note":"x"}`), cardea.CodeTenantAbsent, where),
		named("no body", body("", ""), cardea.CodeTenantAbsent, where),
		named("JSON with two tenants", body(json, `{"clinic_id":"c1","clinic_id":"c2"}`), cardea.CodeRequestInvalid, where),
		named("JSON that another reader reads otherwise", body(json, `{"clinic_id":"c1","Clinic_ID":"c2"}`), cardea.CodeRequestInvalid, where),
		named("form that another reader reads otherwise", body(form, "clinic_id=c1&Clinic_ID=c2"), cardea.CodeRequestInvalid, where),
		named("form with brackets", body(form, "clinic_id=c1&clinic_id[]=c2"), cardea.CodeRequestInvalid, where),
		named("parts that another reader reads otherwise", parts("clinic_id", "c1", "CLINIC_ID", "c2"), cardea.CodeRequestInvalid, where),
		named("tenant in parts", parts("clinic_id", "c1"), "", ""), // of two, Fiber changes the order
		named("body of another type", body("text/plain", `{"clinic_id":"c1"}`), cardea.CodeRequestInvalid, where),
		named("compressed body", compressed, cardea.CodeRequestInvalid, where),
		named("body that is too large", body(json, `{"clinic_id":"c1","note":"`+strings.Repeat("x", 1<<20)+`"}`), cardea.CodeBodyTooLarge, where),
	}
}

func named(name string, c testCase, code cardea.Code, required string) testCase {
	c.name, c.code, c.required = name, code, required
	return c
}

// oddRequests ask for the route "path" in ways in which two readers may disagree. What
// comes of it is the router's business, but the guard has to judge what the handler reads.
func oddRequests() []string {
	return []string{
		"/clinics/%63%31/path",
		"/clinics/c1%2Fpath/path",
		"/clinics/c2%2F..%2Fc1/path",
		"/clinics/c1%00/path",
		"/clinics/c1;clinic=c2/path",
		"/clinics/C1/path",
		"/clinics/c1%20/path",
		"/clinics/c1+/path",
		"/clinics/c1%3Fclinic_id=c2/path",
		"/clinics/c1%253F/path",
		"/clinics//path",
		"/clinics/c1/path/",
		"/clinics/c1//path",
		"//clinics/c1/path",
		"/clinics/c2/../c1/path",
		"/clinics/c1/path?clinic_id",
		"/clinics/c1/path?clinic_id=",
		"/clinics/c1/path?clinic_id=c1;clinic_id=c2",
		"/clinics/c1/path?a=b;clinic_id=c2",
		"/clinics/c1/path?clinic_id=%zz",
		"/clinics/c1/path?clinic_id=%63%31",
		"/clinics/c1/path?clinic_id=%63%32",
		"/clinics/c1/path?clinic_id[]=c2",
		"/clinics/c1/path?clinic_id[0]=c2&clinic_id=c1",
		"/clinics/c1/path?Clinic_Id=c2",
		"/clinics/c1/path?clinic_id=c1&Clinic_Id=c2",
		"/clinics/c1/path?clinic_id=c1%00",
		"/clinics/c1/path?clinic_id=c1,c2",
		"/clinics/c1/path?&&clinic_id=c2",
		"/clinics/c1/path?clinic=c2",
		"/clinics/c1/path?%63linic_id=c2&clinic_id=c1",
	}
}

// agree sends the odd requests: whatever a handler is called for, it read no other clinic
// than the caller's.
func agree(t *testing.T, start StartHTTP) {
	t.Helper()
	i := newIssuer(t)
	passed := 0
	for _, target := range oddRequests() {
		v := i.verifier(t, false, func(*cardea.Config) {})
		answer := start(t, v)(t, oddRequest(t, target, doctor()(i, t)))
		body := readBody(t, answer)
		if answer.StatusCode != http.StatusOK {
			continue
		}
		seen, err := ParseSeen(body)
		if err != nil {
			t.Fatal(err)
		}
		passed++
		if seen.Clinic != "c1" || (seen.Query != "" && seen.Query != "c1") {
			t.Errorf("%s: the guard let pass a handler that reads clinic %q in the path and %q in the query",
				target, seen.Clinic, seen.Query)
		}
	}
	if passed == 0 {
		t.Error("no odd request passed: the test proves nothing")
	}
}
