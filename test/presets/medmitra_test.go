package presets

func medmitra() system {
	return system{
		preset: "medmitra", number: 0, service: cases,
		missing: []absent{
			{"S0.6", "later", "sign-in with Google", "GET /auth/v1/authorize?provider=google&redirect_to=https%3A%2F%2Fapp.example%2Fauth%2Fcallback", 302},
			{"S0.8-S0.10", "later", "sessions in cookies, guarded pages, the hook: the package for browsers", "", 0},
			{"S0.13", "later", "the reference application: a case has one doctor", "", 0},
			{"S0.16", "later", "row-level security by auth.uid()", "", 0},
			{"S0.19", "later", "no token in localStorage: the package for browsers", "", 0},
			{"S0.22-S0.24", "later", "signing out in every tab: the package for browsers", "", 0},
			{"S0.25-S0.30", "later", "the reference application: cases and files", "", 0},
		},
		proved: map[string]string{
			"S0.20": "test/interop/dev.test.mjs, internal/web: TestCORS",
		},
	}
}
