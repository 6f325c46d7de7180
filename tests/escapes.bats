#!/usr/bin/env bats
# Guards terminals and logs: whatever a peer sends, whatever is typed or named, no text that tcptool writes
# holds a byte that a terminal obeys, and one event is one line. All 256 bytes are tried, a quarter at a time.

load helpers

# quarters: the files quarter.1 to quarter.4 with 64 bytes each, and in QUARTERS the same without NUL.
quarters() {
	local i byte text
	QUARTERS=()
	for i in 1 2 3 4; do
		text=
		for ((byte = (i - 1) * 64; byte < i * 64; byte++)); do
			printf -v text '%s\\x%02x' "$text" "$byte"
		done
		# shellcheck disable=SC2059 # it is a format
		printf "$text" >"quarter.$i"
		# shellcheck disable=SC2059
		printf -v text "${text#\\x00}"
		QUARTERS+=("$text")
	done
	[ "$(cat quarter.? | wc -c)" -eq 256 ]
	[ "${#QUARTERS[*]}" -eq 4 ]
}

# clean FILE...: nothing in there but printable ASCII and newlines.
clean() {
	local file
	for file; do
		[ "$(tr -d '\n -~' <"$file" | wc -c)" -eq 0 ] || {
			echo "unescaped bytes in $file:"
			head -c 2000 "$file" | cat -v
			return 1
		}
	done
}

# lines_of FILE: it is clean, and each line is a message, a line of bytes or one of the two about connection 1.
lines_of() {
	clean "$1"
	if grep -vE '^(tcptool: .*|[<>] .*|= #1 ([0-9-]+ )?[0-9:.]+ .*)$' "$1"; then
		return 1
	fi
	[ "$(grep -c '^=' "$1")" -eq "$2" ]
}

# refusals WORD...: tcptool says at most one line to these words. All that it says is collected in told.
refusals() {
	local lines
	timeout -k 5 "$LIMIT" "$TCPTOOL" "$@" >out 2>err </dev/null 3>&- || true
	cat out err >>told
	mapfile lines <err
	[ ${#lines[@]} -le 1 ] || {
		cat -v err
		return 1
	}
}

@test "what a peer sends: messages, traces and reports of connect" {
	quarters
	for i in 1 2 3 4; do
		rm -f report
		peer_bg peer "file:quarter.$i" shut
		returns 10 "$TCPTOOL" connect -vv -x --report=report --expect=never 127.0.0.1 "$PORT"
		lines_of err 2
		[ "$(grep -c "^tcptool: .*expected 'never', received '" err)" -eq 1 ]
		clean report
		[ "$(wc -l <report)" -eq 1 ]
		"$HELPERS/json" check <report
		for format in hex jsonl; do
			peer_bg peer "file:quarter.$i" shut
			returns 10 "$TCPTOOL" connect -o trace --trace-format=$format --expect=never 127.0.0.1 "$PORT"
			clean trace err
			[ $format != hex ] || lines_of trace 2
			[ $format != jsonl ] || "$HELPERS/json" check <trace
		done
		peer_bg peer "file:quarter.$i" shut
		returns 0 "$TCPTOOL" connect -vv -x --report=report 127.0.0.1 "$PORT" </dev/null
		cmp "quarter.$i" out
		lines_of err 2
		clean report
	done
}

@test "what a peer sends: a closing line of a trace cannot be forged" {
	peer_bg peer send:'x\n= #1 12:00:00.000000 closed\n> #1 12:00:00.000000 end\n' shut
	returns 10 "$TCPTOOL" connect -x --expect=never 127.0.0.1 "$PORT"
	lines_of err 2
	[ "$(grep -c ' closed$' err)" -eq 0 ]
	grep -q "^= .* expected 'never', received 'x\\\\n= #1 12:00:00.000000 closed\\\\n> #1" err
}

@test "what a peer sends can be told from what it looks like: its backslashes are doubled" {
	peer_bg peer send:'\\x1b\x1b' shut
	returns 10 "$TCPTOOL" connect -x --report=report --expect='\.' 127.0.0.1 "$PORT"
	words='expected '"'\.', received '"'\\x1b\x1b'"'"
	grep -qxF "tcptool: connection to 127.0.0.1 port $PORT: $words" err
	[ "$(grep '^= ' err | tail -n 1 | cut -d ' ' -f 4-)" = "$words" ]
	"$HELPERS/json" get error <report >told
	[ "$(<told)" = "$words" ]
}

@test "what a peer sends: messages, traces and reports of listen" {
	quarters
	listen_bg sink -k --recv-only 127.0.0.1 0
	sink=$PORT
	for i in 1 2 3 4; do
		for mode in --recv-only --greet "--forward=127.0.0.1:$sink"; do
			listen_bg server -vv -x --report=report "$mode" 127.0.0.1 0
			"$HELPERS/peer" connect "$PORT" "file:quarter.$i" shut sink >/dev/null
			wait_for gone server
			lines_of server.err 2
			clean report
			"$HELPERS/json" check <report
		done
	done
}

@test "what is typed: every option that takes a word, and the words themselves" {
	quarters
	port=$("$HELPERS/peer" free)
	for word in "${QUARTERS[@]}"; do
		for command in connect listen; do
			for option in $("$TCPTOOL" $command --help | sed -nE 's/^ {2,6}(-., )?(--[a-z0-9-]*)\[?=.*/\2/p'); do
				refusals $command "$option=$word" -w 10ms --deadline=1 127.0.0.1 "$port"
			done
			refusals $command "$word" "$port"
			refusals $command "127.0.0.1" "$word"
			refusals $command "$word:$port"
			refusals $command "[$word]:$port"
			refusals $command "::1%$word" "$port"
			refusals $command "--$word" 127.0.0.1 "$port"
			refusals $command "-$word" 127.0.0.1 "$port"
			refusals $command -w 10ms 127.0.0.1 "$port" -- "$word"
			refusals $command -w 10ms 127.0.0.1 0 "$word"
			refusals $command -w 10ms 127.0.0.1 "$port" "$word"
		done
		refusals connect -z "$word:$port"
		refusals connect -z 127.0.0.1 "$word"
		refusals connect -O "$word=1" 127.0.0.1 "$port"
		refusals connect -O "congestion=$word" 127.0.0.1 "$port"
		refusals "$word"
	done
	clean told
	[ "$(wc -l <told)" -gt 200 ]
}

@test "what is typed is shown as it was typed: a backslash stays one" {
	returns 2 "$TCPTOOL" connect --send='\q' 127.0.0.1 1
	one_line err "--send: '\\q' has"
	returns 2 "$TCPTOOL" connect 'C:\temp' 1
	one_line err "'C:\\temp'"
}

@test "what is typed: a pattern that is not met" {
	quarters
	for word in "${QUARTERS[@]}"; do
		peer_bg peer send:x shut
		# brackets, braces and the like stand for themselves in here
		word="never[${word//[][\\^-]/}]"
		returns 10 "$TCPTOOL" connect -x --report=report --expect="$word" 127.0.0.1 "$PORT"
		lines_of err 2
		clean report
		"$HELPERS/json" check <report
	done
}

@test "names of files, and what is in files of rules" {
	quarters
	for i in 1 2 3 4; do
		word=${QUARTERS[i - 1]}
		for option in --report --trace --port-file --allow-file --deny-file --chroot; do
			refusals listen "$option=missing/$word" -w 10ms 127.0.0.1 0
			[ -s err ]
		done
		refusals listen "--allow-file=quarter.$i" -w 10ms 127.0.0.1 0
		one_line err "quarter.$i"
	done
	clean told
	# a trace that can no longer be written is told by its name
	word=${QUARTERS[2]}
	ln -s /dev/full "$word"
	peer_bg peer send:x shut
	returns 0 "$TCPTOOL" connect --recv-only -o "$word" 127.0.0.1 "$PORT"
	one_line err trace
	clean err
}

@test "the environment: \$NOTIFY_SOCKET, \$LISTEN_FDS, \$PATH" {
	quarters
	for word in "${QUARTERS[@]}"; do
		returns 5 env NOTIFY_SOCKET="/$word" "$TCPTOOL" listen -w 10ms 127.0.0.1 0
		clean err
		[ "$(wc -l <err)" -eq 2 ]
		# shellcheck disable=SC2016 # it is that shell's
		returns 2 env WORD="$word" sh -c 'LISTEN_PID=$$ LISTEN_FDS=$WORD exec "$@"' sh "$TCPTOOL" listen
		clean err
		one_line err
		returns 127 env PATH="/$word:$PATH" "$TCPTOOL" connect 127.0.0.1 1 -- no-such-command
		clean err
		one_line err
	done
}

@test "names of interfaces: the zones of addresses" {
	# no name of an interface is longer than 15 bytes, and none holds blanks, "/" or ":"
	for word in $'\x01\x02\x03\e[2J\x07' $'\x7f\x80\x84\x85\x8d\x9b2J\xff' $'a\\b\xc3\xa9'; do
		make_network -A fe80::1/64 -R "$word"
		rm -f there.port
		start_bg there "${NET[@]}" "$TCPTOOL" listen -k -vv -x --port-file=there.port \
			--report=there.report --recv-only "fe80::1%$word" 0
		wait_port there.port
		returns 0 "${NET[@]}" "$TCPTOOL" connect -vv -x --report=report "fe80::1%$word" "$PORT" </dev/null
		lines_of err 2
		clean report
		"$HELPERS/json" check <report
		returns 0 "${NET[@]}" "$TCPTOOL" connect -z -vv "fe80::1%$word" "$PORT"
		clean out err
		[ "$(wc -l <out)" -eq 1 ]
		kill "${PIDS[there]}"
		wait_for gone there
		clean there.err there.report
	done
}
