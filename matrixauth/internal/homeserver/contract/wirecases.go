package contract

import "strings"

// doorCases returns cases about paths, methods and the secret (SYN-11).
func doorCases() []wireCase {
	return []wireCase{
		{name: "version_without_secret", method: "GET", path: "/_synapse/admin/v1/server_version", authorization: "-", status: 200},
		{name: "no_federation_version_for_clients", method: "GET", path: "/_matrix/federation/v1/version", authorization: "-", status: 404, errcode: "M_UNRECOGNIZED"},
		get("without_secret", "query_user", "?localpart=USER", 401, "M_MISSING_TOKEN").by("-"),
		get("empty_secret", "query_user", "?localpart=USER", 401, "M_MISSING_TOKEN").by("Bearer "),
		get("other_scheme", "query_user", "?localpart=USER", 401, "M_MISSING_TOKEN").by("Basic eA=="),
		get("scheme_in_lower_case", "query_user", "?localpart=USER", 401, "M_MISSING_TOKEN").by("bearer x"),
		get("wrong_secret", "query_user", "?localpart=USER", 403, "M_UNKNOWN").by("Bearer wrong"),
		post("wrong_secret_counts_before_the_body", "upsert_device", `{`, 403, "M_UNKNOWN").by("Bearer wrong"),
		get("wrong_secret_counts_before_the_parameters", "is_localpart_available", "", 403, "M_UNKNOWN").by("Bearer wrong"),
		get("unknown_call", "nothing", "", 404, "").asPage(),
		post("unknown_call_by_post", "nothing", `{}`, 404, "").asPage(),
		get("trailing_slash", "query_user/", "?localpart=USER", 404, "").asPage(),
		get("get_where_post_belongs", "upsert_device", "", 405, "M_UNRECOGNIZED"),
		post("post_where_get_belongs", "query_user", `{}`, 405, "M_UNRECOGNIZED"),
		{name: "put", method: "PUT", path: mas + "upsert_device", body: `{}`, status: 405, errcode: "M_UNRECOGNIZED"},
		{name: "delete", method: "DELETE", path: mas + "delete_device", status: 405, errcode: "M_UNRECOGNIZED"},
		{name: "method_counts_before_the_secret", method: "PUT", path: mas + "upsert_device", authorization: "Bearer wrong", status: 405, errcode: "M_UNRECOGNIZED"},
		{name: "preflight", method: "OPTIONS", path: mas + "upsert_device", authorization: "-", status: 204},
	}
}

// bodyCases returns cases about bodies of any call.
func bodyCases() []wireCase {
	const op, good = "upsert_device", `{"localpart":"USER","device_id":"DEV"}`
	return []wireCase{
		post("empty_body", op, ``, 400, "M_NOT_JSON"),
		post("not_json", op, `{`, 400, "M_NOT_JSON"),
		post("something_after_the_json", op, good+` x`, 400, "M_NOT_JSON"),
		post("not_a_number", op, `{"localpart":"USER","device_id":"DEV","z":NaN}`, 400, "M_NOT_JSON"),
		post("not_utf8", op, "{\"localpart\":\"USER\",\"device_id\":\"\xff\"}", 400, "M_NOT_JSON"),
		post("array", op, `[]`, 400, "M_BAD_JSON"),
		post("null", op, `null`, 400, "M_BAD_JSON"),
		post("unknown_field_is_ignored", op, `{"localpart":"USER","device_id":"DEV","other":1}`, 200, ""),
		post("the_last_of_two_keys_counts", op, `{"localpart":"NEW","localpart":"USER","device_id":"DEV"}`, 200, ""),
		post("two_mebibytes", op, `{"localpart":"USER","device_id":"DEV","other":"`+strings.Repeat("x", 2<<20)+`"}`, 200, ""),
		post("one_field_missing", op, `{"localpart":"USER"}`, 400, "M_MISSING_PARAM"),
		post("two_fields_missing", op, `{}`, 400, "M_BAD_JSON"),
		post("one_missing_one_wrong", op, `{"localpart":3}`, 400, "M_BAD_JSON"),
		post("fields_count_before_the_user", op, `{"localpart":"NEW"}`, 400, "M_MISSING_PARAM"),
		post("number_for_text", op, `{"localpart":"USER","device_id":3}`, 400, "M_BAD_JSON"),
		post("null_for_text", op, `{"localpart":null,"device_id":"DEV"}`, 400, "M_BAD_JSON"),
	}
}

// userCases returns cases about calls on users (SYN-11, SYN-13).
func userCases() []wireCase {
	const set, provision = "set_displayname", "provision_user"
	return []wireCase{
		get("query", "query_user", "?localpart=USER", 200, ""),
		get("query_unknown", "query_user", "?localpart=NEW", 404, "M_NOT_FOUND"),
		get("query_empty", "query_user", "?localpart=", 404, "M_NOT_FOUND"),
		get("query_nothing", "query_user", "", 400, "M_MISSING_PARAM"),
		get("query_not_ascii", "query_user", "?localpart=%C3%BC", 400, "M_UNKNOWN"),
		get("the_first_of_two_parameters_counts", "query_user", "?localpart=USER&localpart=NEW", 200, ""),
		post("provision_new", provision, `{"localpart":"NEW"}`, 201, ""),
		post("provision_existing", provision, `{"localpart":"USER"}`, 200, ""),
		post("provision_nothing", provision, `{}`, 400, "M_MISSING_PARAM"),
		post("set_and_unset_name", provision, `{"localpart":"USER","set_displayname":"A","unset_displayname":false}`, 400, "M_INVALID_PARAM").as1136("M_BAD_JSON"),
		post("set_and_unset_name_both_of_no_effect", provision, `{"localpart":"USER","set_displayname":null,"unset_displayname":false}`, 400, "M_INVALID_PARAM").as1136("M_BAD_JSON"),
		post("set_and_unset_avatar", provision, `{"localpart":"USER","set_avatar_url":"mxc://a/b","unset_avatar_url":true}`, 400, "M_INVALID_PARAM").as1136("M_BAD_JSON"),
		post("set_and_unset_emails", provision, `{"localpart":"USER","set_emails":[],"unset_emails":true}`, 400, "M_INVALID_PARAM").as1136("M_BAD_JSON"),
		post("set_and_unset_count_before_other_faults", provision, `{"set_emails":[],"unset_emails":true}`, 400, "M_INVALID_PARAM").as1136("M_BAD_JSON"),
		post("null_for_set", provision, `{"localpart":"USER","set_displayname":null,"set_emails":null,"set_avatar_url":null,"locked":null}`, 200, ""),
		post("null_for_unset", provision, `{"localpart":"USER","unset_displayname":null}`, 400, "M_BAD_JSON"),
		post("text_for_unset", provision, `{"localpart":"USER","unset_displayname":"true"}`, 400, "M_BAD_JSON").as1136("M_INVALID_PARAM"),
		post("number_for_unset", provision, `{"localpart":"USER","unset_displayname":1}`, 400, "M_BAD_JSON").as1136("M_INVALID_PARAM"),
		post("text_for_emails", provision, `{"localpart":"USER","set_emails":"a"}`, 400, "M_BAD_JSON"),
		post("object_for_emails", provision, `{"localpart":"USER","set_emails":{}}`, 400, "M_BAD_JSON"),
		post("number_among_emails", provision, `{"localpart":"USER","set_emails":[1]}`, 400, "M_BAD_JSON"),
		post("null_among_emails", provision, `{"localpart":"USER","set_emails":[null]}`, 400, "M_BAD_JSON"),
		post("email_without_at", provision, `{"localpart":"USER","set_emails":["none"]}`, 400, "M_UNKNOWN"),
		post("email_with_two_at", provision, `{"localpart":"USER","set_emails":["a@b@c"]}`, 400, "M_UNKNOWN"),
		post("lock", provision, `{"localpart":"USER","locked":true}`, 200, ""),
		post("unlock", provision, `{"localpart":"USER","locked":false}`, 200, ""),
		post("text_for_locked", provision, `{"localpart":"USER","locked":"yes"}`, 400, "M_BAD_JSON").before1150(200),
		post("number_for_locked", provision, `{"localpart":"USER","locked":1}`, 400, "M_BAD_JSON").before1150(200),
		post("name_of_257_for_existing", provision, `{"localpart":"USER","set_displayname":"`+strings.Repeat("x", 257)+`"}`, 400, "M_UNKNOWN"),
		post("name_of_257_for_new", provision, `{"localpart":"NEW","set_displayname":"`+strings.Repeat("x", 257)+`"}`, 201, ""),
		post("name_of_256", set, `{"localpart":"USER","displayname":"`+strings.Repeat("é", 256)+`"}`, 200, ""),
		post("name_of_257", set, `{"localpart":"USER","displayname":"`+strings.Repeat("é", 257)+`"}`, 400, "M_UNKNOWN"),
		post("name_missing", set, `{"localpart":"USER"}`, 400, "M_MISSING_PARAM"),
		post("name_null", set, `{"localpart":"USER","displayname":null}`, 400, "M_BAD_JSON"),
		post("name_of_nobody", set, `{"localpart":"NEW","displayname":"A"}`, 404, "M_NOT_FOUND"),
		post("unset_name_of_nobody", "unset_displayname", `{"localpart":"NEW"}`, 404, "M_NOT_FOUND"),
		post("unset_name_missing", "unset_displayname", `{}`, 400, "M_MISSING_PARAM"),
		post("delete_without_erase", "delete_user", `{"localpart":"USER"}`, 400, "M_MISSING_PARAM"),
		post("delete_with_text_for_erase", "delete_user", `{"localpart":"USER","erase":"true"}`, 400, "M_BAD_JSON").as1136("M_INVALID_PARAM"),
		post("delete_nobody", "delete_user", `{"localpart":"NEW","erase":false}`, 404, "M_NOT_FOUND"),
		post("reactivate_nobody", "reactivate_user", `{"localpart":"NEW"}`, 404, "M_NOT_FOUND"),
		post("reactivate_who_is_active", "reactivate_user", `{"localpart":"USER"}`, 200, ""),
		post("allow_reset", "allow_cross_signing_reset", `{"localpart":"USER"}`, 200, ""),
		post("allow_reset_for_nobody", "allow_cross_signing_reset", `{"localpart":"NEW"}`, 404, "M_NOT_FOUND"),
		post("allow_reset_missing", "allow_cross_signing_reset", `{}`, 400, "M_MISSING_PARAM"),
	}
}

// nameCases returns cases about localparts: what may be asked for, and what may be created.
func nameCases(serverName string) (cases []wireCase) {
	const ask, provision = "is_localpart_available", "provision_user"
	longest := 255 - len("@:"+serverName)
	cases = []wireCase{
		get("free", ask, "?localpart=NEW", 200, ""),
		get("taken", ask, "?localpart=USER", 400, "M_USER_IN_USE"),
		get("free_or_taken_missing", ask, "", 400, "M_UNKNOWN"),
		get("not_ascii", ask, "?localpart=%C3%BC", 400, "M_UNKNOWN"),
		post("not_ascii_to_provision", provision, `{"localpart":"ü"}`, 400, "M_INVALID_USERNAME"),
		post("slash_and_plus", provision, `{"localpart":"NEW/a+b=c"}`, 201, ""),
	}
	for _, bad := range []struct{ label, text, escaped string }{
		{"empty", "", ""}, {"upper_case", "UpPer", "UpPer"}, {"space", "a b", "a%20b"}, {"underscore_first", "_a", "_a"}, {"digits", "12345", "12345"},
		{"colon", "a:b", "a%3Ab"}, {"at", "@a", "%40a"}, {"percent", "a%b", "a%25b"},
		{"one_too_long", strings.Repeat("a", longest+1), strings.Repeat("a", longest+1)},
	} {
		cases = append(cases,
			get("not_available_"+bad.label, ask, "?localpart="+bad.escaped, 400, "M_INVALID_USERNAME"),
			post("not_provisioned_"+bad.label, provision, `{"localpart":"`+bad.text+`"}`, 400, "M_INVALID_USERNAME"))
	}
	return cases
}

// deviceCases returns cases about calls on devices (SYN-11).
func deviceCases() []wireCase {
	const upsert, update, remove = "upsert_device", "update_device_display_name", "delete_device"
	named := func(name string) string { return `{"localpart":"USER","device_id":"DEV","display_name":` + name + `}` }
	long := func(n int, c string) string { return named(`"` + strings.Repeat(c, n) + `"`) }
	return []wireCase{
		post("upsert_new", upsert, `{"localpart":"USER","device_id":"NEW"}`, 201, ""),
		post("upsert_new_named", upsert, `{"localpart":"USER","device_id":"NEW","display_name":"n"}`, 201, ""),
		post("upsert_existing", upsert, named(`"n"`), 200, ""),
		post("upsert_null_name", upsert, named(`null`), 200, ""),
		post("upsert_empty_name", upsert, named(`""`), 200, ""),
		post("upsert_number_for_name", upsert, named(`3`), 400, "M_BAD_JSON"),
		post("upsert_for_nobody", upsert, `{"localpart":"NEW","device_id":"DEV"}`, 404, "M_NOT_FOUND"),
		post("upsert_name_of_100", upsert, long(100, "é"), 200, ""),
		post("upsert_name_of_100_beyond_the_basic_plane", upsert, long(100, "😀"), 200, ""),
		post("upsert_name_of_101", upsert, long(101, "x"), 400, "M_TOO_LARGE"),
		post("upsert_name_of_101_beyond_the_basic_plane", upsert, long(101, "😀"), 400, "M_TOO_LARGE"),
		post("upsert_new_with_name_of_101", upsert, `{"localpart":"USER","device_id":"NEW","display_name":"`+strings.Repeat("x", 101)+`"}`, 400, "M_TOO_LARGE"),
		post("upsert_user_counts_before_the_name", upsert, `{"localpart":"NEW","device_id":"DEV","display_name":"`+strings.Repeat("x", 101)+`"}`, 404, "M_NOT_FOUND"),
		post("upsert_odd_id", upsert, `{"localpart":"USER","device_id":"NEW a/é\n\u0000"}`, 201, ""),
		post("upsert_id_of_600", upsert, `{"localpart":"USER","device_id":"NEW`+strings.Repeat("x", 600)+`"}`, 201, ""),
		post("update", update, named(`"n"`), 200, ""),
		post("update_empty_name", update, named(`""`), 200, ""),
		post("update_null_name", update, named(`null`), 400, "M_BAD_JSON"),
		post("update_no_name", update, `{"localpart":"USER","device_id":"DEV"}`, 400, "M_MISSING_PARAM"),
		post("update_name_of_100", update, long(100, "x"), 200, ""),
		post("update_name_of_101", update, long(101, "x"), 400, "M_TOO_LARGE"),
		post("update_unknown_device", update, `{"localpart":"USER","device_id":"NEW","display_name":"n"}`, 404, "M_NOT_FOUND"),
		post("update_for_nobody", update, `{"localpart":"NEW","device_id":"DEV","display_name":"n"}`, 404, "M_NOT_FOUND"),
		post("delete_device", remove, `{"localpart":"USER","device_id":"DEV"}`, 204, ""),
		post("delete_unknown_device", remove, `{"localpart":"USER","device_id":"NEW"}`, 204, ""),
		post("delete_device_of_nobody", remove, `{"localpart":"NEW","device_id":"DEV"}`, 404, "M_NOT_FOUND"),
		post("delete_no_device", remove, `{"localpart":"USER"}`, 400, "M_MISSING_PARAM"),
	}
}
