package presets

func medhastra() system {
	return system{
		preset: "medhastra", number: 3, service: analyses,
		missing: []absent{
			{"S3.11", "step 5", "a queue, a cache, and conflict resolution", "", 0},
			{"S3.15", "step 5", "the table profiles and its trigger", "", 0},
			{"S3.16", "step 5", "the trigger of a later generation", "", 0},
			{"S3.18", "later", "row-level security of cases", "", 0},
			{"S3.19", "later", "second factors and restrictions by address", "", 0},
		},
		proved: map[string]string{
			"S3.9":  "internal/server: TestRelayOutage",
			"S3.12": "the users are in the operator's own database: internal/store",
		},
	}
}
