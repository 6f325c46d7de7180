#!/usr/bin/env bats
# Guards who is let in: the rules on the command line and in files, as connections meet them. How rules are
# read and whom they match, in all forms: tests/unit/test_access.c.

load helpers

# let_in PORT ADDR: who connects from ADDR is served ("-- cat" is).
let_in() {
	returns 0 "$HELPERS/peer" -s "$2" connect "$1" send:x shut rest:x
}

# kept_out PORT ADDR: who connects from ADDR is closed without a byte.
kept_out() {
	returns 0 "$HELPERS/peer" -s "$2" connect "$1" eof
}

# descriptors NAME: how many a background command has open.
descriptors() {
	local all=("/proc/${PIDS[$1]}/fd"/*)
	echo "${#all[@]}"
}

# reload: SIGHUP, and wait until the listener has said something of it for the time COUNT.
reload() {
	kill -HUP "${PIDS[tool]}"
	wait_for said_times "$1" "$2"
}

said_times() {
	[ "$(grep -c "$1" tool.err)" -eq "$2" ]
}

@test "--allow lets in those it names and refuses others; -v says so" {
	listen_bg tool -kv --allow=127.0.0.1 --allow 127.1.0.0/16 127.0.0.1 0 -- cat
	let_in "$PORT" 127.0.0.1
	let_in "$PORT" 127.1.2.3
	kept_out "$PORT" 127.0.0.2
	kept_out "$PORT" 127.2.0.1
	grep -qE '^tcptool: refused 127.0.0.2 port [0-9]+: not allowed$' tool.err
	[ "$(grep -c refused tool.err)" -eq 2 ]
}

@test "--deny alone lets everybody else in; with --allow, deny wins" {
	listen_bg deny -k --deny=127.9.0.0/16 127.0.0.1 0 -- cat
	let_in "$PORT" 127.0.0.1
	kept_out "$PORT" 127.9.1.1
	listen_bg both -k --deny=127.9.1.0/24 --allow=127.9.0.0/16 127.0.0.1 0 -- cat
	let_in "$PORT" 127.9.2.1
	kept_out "$PORT" 127.9.1.1
	kept_out "$PORT" 127.0.0.1
	holds both.err ''
}

@test "the rules hold for every way of serving" {
	listen_bg stdin -k --deny=127.0.0.2 127.0.0.1 0
	kept_out "$PORT" 127.0.0.2
	returns 0 "$HELPERS/peer" connect "$PORT" send:x shut eof
	wait_for holds stdin.out x
	# a refused peer is not the one connection
	listen_bg one --deny=127.0.0.2 127.0.0.1 0
	kept_out "$PORT" 127.0.0.2
	returns 0 "$HELPERS/peer" connect "$PORT" send:y shut eof
	ends 0 one
	holds one.out y
	listen_bg greet -k --greet --deny=127.0.0.2 127.0.0.1 0
	kept_out "$PORT" 127.0.0.2
	returns 0 "$HELPERS/peer" connect "$PORT" 'expect:welcome 127.0.0.1 to bejing\0' send:z shut eof
	start_bg crowd "$HELPERS/crowd" listen crowd.port
	wait_port crowd.port
	listen_bg forward -k --forward="127.0.0.1:$PORT" --deny=127.0.0.2 127.0.0.1 0
	kept_out "$PORT" 127.0.0.2
	let_in "$PORT" 127.0.0.1
}

@test "an IPv4 peer of an IPv6 socket matches IPv4 rules, mapped ones too, and no IPv6 rule" {
	need_ipv6
	# a socket of a service manager may take both families
	for rules in '--deny=127.0.0.2' '--deny=::ffff:127.0.0.2' '--allow=127.0.0.1 --allow=::1' \
		'--allow=::ffff:127.0.0.0/127 --allow=::1 --deny=127.0.0.2' '--deny=127.0.0.2 --allow=127.0.0.0/8 --allow=::/0'; do
		# shellcheck disable=SC2086
		start_bg tool "$HELPERS/activate" port :: -- "$TCPTOOL" listen -k $rules -- cat
		wait_port port
		[[ $rules == *::ffff:127.0.0.0/127* ]] || let_in "$PORT" 127.0.0.1
		kept_out "$PORT" 127.0.0.2
		returns 0 "$HELPERS/peer" -a ::1 connect "$PORT" send:x shut rest:x
		kill "${PIDS[tool]}"
		ends 143 tool
		rm port
	done
	start_bg tool "$HELPERS/activate" port :: -- "$TCPTOOL" listen -k --allow=::/0 -- cat
	wait_port port
	kept_out "$PORT" 127.0.0.1
	returns 0 "$HELPERS/peer" -a ::1 connect "$PORT" send:x shut rest:x
}

@test "a bad rule: status 2 before a socket listens" {
	for rule in 10.0.0.0/33 10.0.0.1/8 10.0.0.0/08 010.0.0.1 0x7f.1 2130706433 localhost '' ' 10.0.0.0/8' \
		10.0.0.0/8/8 ::ffff:0:0/95 ::1%lo ::/129 10.0.0.0/+8; do
		returns 2 "$TCPTOOL" listen --port-file=port --allow="$rule" 127.0.0.1 0
		one_line err "'$rule'"
		returns 2 "$TCPTOOL" listen --port-file=port --allow=0.0.0.0/0 --deny="$rule" 127.0.0.1 0
		one_line err "'$rule'"
		[ ! -e port ]
	done
	returns 2 "$TCPTOOL" connect --allow=127.0.0.1 127.0.0.1 1
}

@test "a rule with control characters is escaped in the message" {
	returns 2 "$TCPTOOL" listen --allow=$'1\e[31m\n2' 127.0.0.1 0
	one_line err
	fails grep -q $'\e' err
}

@test "a file of rules that is missing or wrong: status 7, with the line" {
	returns 7 "$TCPTOOL" listen --port-file=port --allow-file=nowhere 127.0.0.1 0
	one_line err 'nowhere: No such file or directory'
	printf '127.0.0.1\n\n# fine so far\n10.0.0.1/8\n' >rules
	returns 7 "$TCPTOOL" listen --port-file=port --deny-file=rules 127.0.0.1 0
	one_line err 'rules line 4'
	[ ! -e port ]
}

@test "files of rules add to those of the command line" {
	printf '127.0.0.5 # one\n' >"more"
	printf '\n127.0.0.6\n' >even-more
	printf '127.0.0.7\n' >not
	listen_bg tool -k --allow=127.0.0.1 --allow-file=more --allow-file=even-more --deny-file=not 127.0.0.1 0 -- cat
	let_in "$PORT" 127.0.0.1
	let_in "$PORT" 127.0.0.5
	let_in "$PORT" 127.0.0.6
	kept_out "$PORT" 127.0.0.7
	kept_out "$PORT" 127.0.0.8
}

@test "an allow file without a rule allows no address" {
	: >rules
	listen_bg tool -k --allow-file=rules 127.0.0.1 0 -- cat
	kept_out "$PORT" 127.0.0.1
}

@test "files: a comment may be long, and a NUL byte hides nothing" {
	{
		printf '# %0500d\n' 0
		printf '127.0.0.1 # %0500d\n' 0
	} >rules
	listen_bg tool --allow-file=rules 127.0.0.1 0 -- cat
	let_in "$PORT" 127.0.0.1
	printf '127.0.0.1\0/garbage' >rules
	returns 7 "$TCPTOOL" listen --allow-file=rules 127.0.0.1 0
	one_line err 'rules line 1'
}

@test "SIGHUP reads the files again; connections that are served go on" {
	echo 127.0.0.1 >rules
	listen_bg tool -kv --allow-file=rules 127.0.0.1 0 -- cat
	start_bg held "$HELPERS/peer" connect "$PORT" send:a expect:a touch:there wait:go send:b shut rest:b
	wait_for test -e there
	echo 127.0.0.2 >rules
	kept_out "$PORT" 127.0.0.2
	reload 'rules read again' 1
	let_in "$PORT" 127.0.0.2
	kept_out "$PORT" 127.0.0.1
	touch go
	ends 0 held
}

@test "SIGHUP with a file that is wrong or gone: the old rules stay, and one line says so" {
	echo 127.0.0.1 >rules
	listen_bg tool -k --allow-file=rules --deny=127.0.0.3 127.0.0.1 0 -- cat
	printf '127.0.0.2\n127.0.0.9/8\n' >rules
	reload 'stay as they were' 1
	one_line tool.err 'rules line 2'
	let_in "$PORT" 127.0.0.1
	kept_out "$PORT" 127.0.0.2
	rm rules
	reload 'stay as they were' 2
	grep -q 'rules: No such file or directory; the rules stay as they were$' tool.err
	let_in "$PORT" 127.0.0.1
	kept_out "$PORT" 127.0.0.2
	# and a good one is taken again
	echo 127.0.0.2 >rules
	kill -HUP "${PIDS[tool]}"
	wait_for let_in "$PORT" 127.0.0.2
	kept_out "$PORT" 127.0.0.1
	kept_out "$PORT" 127.0.0.3
	[ "$(wc -l <tool.err)" -eq 2 ]
}

@test "without a file of rules SIGHUP ends it, as it ends other programs" {
	start_bg tool env --default-signal=HUP "$TCPTOOL" listen -k --allow=127.0.0.1 --port-file=tool.port 127.0.0.1 0
	wait_port tool.port
	kill -HUP "${PIDS[tool]}"
	ends 129 tool
}

@test "10 000 refusals leave no descriptor behind, and an allowed peer is served after them" {
	listen_bg tool -k -m 1 --deny=127.0.0.1 127.0.0.1 0 -- cat
	start_bg held "$HELPERS/peer" -s 127.0.0.2 connect "$PORT" send:a expect:a touch:there wait:go send:b shut rest:b
	wait_for test -e there
	touch go
	ends 0 held
	before=$(descriptors tool)
	returns 0 "$HELPERS/storm" -r -c 50 "$PORT" 10000
	holds out '10000 connections, 0 aborted\n'
	[ "$(descriptors tool)" -eq "$before" ]
	let_in "$PORT" 127.0.0.2
	[ "$(descriptors tool)" -eq "$before" ]
	holds tool.err ''
}

@test "--max-per-host: refusals leave no descriptor behind, and the served connection goes on" {
	listen_bg tool -k --max-per-host=1 127.0.0.1 0 -- cat
	start_bg held "$HELPERS/peer" connect "$PORT" send:a expect:a touch:there wait:go send:b expect:b shut eof
	wait_for test -e there
	before=$(descriptors tool)
	returns 0 "$HELPERS/storm" -r -c 50 "$PORT" 10000
	[ "$(descriptors tool)" -eq "$before" ]
	touch go
	ends 0 held
	wait_for let_in "$PORT" 127.0.0.1
}
