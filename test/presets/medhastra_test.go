package presets

func medhastra() system {
	return system{
		preset: "medhastra", number: 3, service: analyses,
		missing: []absent{
			{"S3.19", "later", "second factors and restrictions by address", "", 0},
		},
		proved: map[string]string{
			"S3.9":              "internal/server: TestRelayOutage",
			"S3.11 S3.15 S3.16": "usersync: TestFeed, TestHookFails; usersync/synctest: created, edited; internal/server: TestAdoptedDatabase",
			"S3.18":             "internal/server: TestCasesOfAnApplication",
			"S3.12":             "the users are in the operator's own database: internal/store",
		},
	}
}
