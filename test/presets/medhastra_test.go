package presets

func medhastra() system {
	const sync = "POST /api/auth/users/sync\n\n" + `{"email":"a@example.org","first_name":"Ada"}`
	return system{
		preset: "medhastra", number: 3, service: analyses,
		missing: []absent{
			{"S3.2", "step 5", "the user of the backend is found or made, with a profile", sync, 401},
			{"S3.3", "step 5", "first and last name, is_onboarded, provider metadata in the backend's row", "", 0},
			{"S3.4", "step 5", "POST /api/auth/users/sync", sync, 401},
			{"S3.5", "step 5", "a password is required for the local provider only", "", 0},
			{"S3.7", "step 5", "the sync runs at the start of the application", sync, 401},
			{"S3.8", "step 5", "a profile comes with the user", sync, 401},
			{"S3.9", "step 5", "a failed sync does not block sign-in", sync, 401},
			{"S3.14", "step 5", "POST /api/auth/verify tells who calls", "POST /api/auth/verify", 401},
			{"S3.18", "later", "row-level security of cases", "", 0},
			{"S3.19", "later", "second factors and restrictions by address", "", 0},
		},
		proved: map[string]string{
			"S3.11 S3.15 S3.16": "usersync: TestFeed, TestHookFails; usersync/synctest: created, edited; internal/server: TestAdoptedDatabase",
			"S3.12":             "the users are in the operator's own database: internal/store",
		},
	}
}
