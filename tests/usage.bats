#!/usr/bin/env bats
# Guards the command line: a word is what it says or a usage error with status 2 and one line; nothing is
# guessed, nothing crashes, whatever is typed.

load helpers

NET=()

# refused WORD...: tcptool refuses these words, in one line on stderr, before it does anything. (Should it
# look up a name after all, it does so in a network of its own.)
refused() {
	local status=0
	"${NET[@]}" timeout -k 5 "$LIMIT" "$TCPTOOL" "$@" >out 2>err </dev/null 3>&- || status=$?
	[ "$status" -eq 2 ] || {
		echo "status $status, not 2, for: ${*@Q}" | head -c 300
		return 1
	}
	one_line err
	[ ! -s out ]
}

# refused_values COMMAND OPTION REST VALUE...: none of these is a value of the option. REST are the other
# words, with blanks between.
refused_values() {
	local command=$1 option=$2 rest value
	read -r -a rest <<<"$3"
	shift 3
	for value; do
		if [[ $option == --* && $value == *[05]* ]]; then
			refused "$command" "$option=$value" "${rest[@]}"
		else
			refused "$command" "$option" "$value" "${rest[@]}"
		fi
	done
}

# options COMMAND [with]: the long options that its --help lists, or only those that take an argument.
options() {
	local pattern='^ \{2,6\}\(-., \)\{0,1\}\(--[a-z0-9-]*\)'
	[ -z "${2:-}" ] || pattern+='=[A-Z].*'
	"$TCPTOOL" "$1" --help | sed -n "s/$pattern.*/\2/p"
}

NOT_NUMBERS=(-1 +1 ' 1' '1 ' 1. 1.5 1e3 1e9 0x10 1k '' - one '1,2' $'1\n' ١
	2147483648 4294967296 9223372036854775807 9223372036854775808 18446744073709551616
	99999999999999999999999999)
NOT_TIMES=(-1 -0 +1 ' 1' '1 ' '1 s' 1. '1,5' 1e3 0x10 1x 1D 1S 1ss 1mm 5m5 1m30 30s1m 1m1m '' ms s . .s inf nan
	one $'1\n' 1e999)
NOT_SIZES=(-1 +1 ' 1' '1 ' '1 k' 1. 1.5 .5 '1,5k' 1e3 0x10 1x 1kb 1Mb 1Mib 1kk 1k5 1s 1iB '' k B . .k inf nan one
	$'1\n' 0 0.0001k 9223372036854775808 99999999999999999999G)

# --- numbers and times ---------------------------------------------------------------------------

@test "numbers are whole words in their range" {
	refused_values listen --backlog '127.0.0.1 0' 0 "${NOT_NUMBERS[@]}"
	refused_values listen -m '-k --greet 127.0.0.1 0' 0 "${NOT_NUMBERS[@]}"
	refused_values listen --max-per-host '-k --greet 127.0.0.1 0' 0 "${NOT_NUMBERS[@]}"
	refused_values connect -p '127.0.0.1 1' 0 65536 "${NOT_NUMBERS[@]}"
	refused_values listen --ready-fd '127.0.0.1 0' 0 1 2 "${NOT_NUMBERS[@]}"
}

@test "times are numbers with a unit or without" {
	for option in -w --timeout -i --deadline --retry-interval; do
		refused_values connect $option '--retry 127.0.0.1 1' 0 "${NOT_TIMES[@]}"
	done
	refused_values connect -q '127.0.0.1 1' "${NOT_TIMES[@]}"
	refused_values listen --drain '127.0.0.1 0' "${NOT_TIMES[@]}"
	for value in "${NOT_TIMES[@]}"; do
		refused connect "--retry=$value" 127.0.0.1 1
	done
}

@test "times may have fractions and units" {
	for time in 0.01 .01 10ms 0.01s 10.5ms 0.0002m 0.000003h 10000us 0s10ms; do
		returns 5 "$TCPTOOL" listen -w "$time" 127.0.0.1 0
	done
	port=$("$HELPERS/peer" free)
	for time in 1 1.5 2m 1h 500ms 24h 30d 1w 1m30s 1h30m 1min 5sec; do
		returns 4 "$TCPTOOL" connect -w "$time" 127.0.0.1 "$port"
	done
}

@test "a time that is longer than any clock holds is for ever" {
	for time in 999999999 9223372036854775808 99999999999999999999h 200000w; do
		peer_bg peer rest:x send:y
		printf x | returns 0 "$TCPTOOL" connect -q "$time" -w "$time" -i "$time" --deadline="$time" \
			--retry="$time" --retry-interval="$time" 127.0.0.1 "$PORT"
		holds out y
		ends 0 peer
		returns 5 "$TCPTOOL" listen -q "$time" -i "$time" --drain="$time" --delay="$time" -w 10ms 127.0.0.1 0
		peer_bg peer close
		returns 1 "$TCPTOOL" connect -z -w "$time" --settle="$time" 127.0.0.1 "$PORT"
	done
	# the kernel's options hold less, and say so
	refused connect -O user-timeout=99999999999999999999h 127.0.0.1 1
	refused connect --keepalive=99999999999999999999h 127.0.0.1 1
}

@test "sizes may have fractions, and units in either case, in bytes or not" {
	port=$("$HELPERS/peer" free)
	for size in 1 100B 64k 500K 1m 1M 1.5M .5k 1MB 1kB 1MiB .25GiB; do
		returns 4 "$TCPTOOL" connect --chunk="$size" --limit-rate="$size" -O "sndbuf=$size" 127.0.0.1 "$port"
	done
	refused_values connect --limit-rate '127.0.0.1 1' "${NOT_SIZES[@]}"
	refused_values connect --chunk '127.0.0.1 1' 3G 2147483648 "${NOT_SIZES[@]}"
	returns 2 "$TCPTOOL" connect --chunk=3G 127.0.0.1 1
	one_line err "'3G' is not from 1 to 2147483647 bytes"
}

@test "--keepalive takes up to three numbers" {
	refused_values connect --keepalive '127.0.0.1 1' '' , ,, 1, ,1 1,, 1,1, 1,1,1,1 1,1,1, 0 0,1,1 1,0,1 \
		1,1,0 -1 1,-1 1,1,-1 1,1,1.5 1,1,128 99999 1,99999 1x ' 1' 1,1,9223372036854775808
}

# --- operands ------------------------------------------------------------------------------------

@test "ports" {
	for port in -1 65536 99999 4294967376 18446744073709551696 '' ' 80' '80 ' 80x 0x50 8e1 8.0 +80 \
		no-such-service-here 80,81 80-81; do
		refused connect -- 127.0.0.1 "$port"
		refused connect "127.0.0.1:$port"
		refused listen "127.0.0.1:$port"
	done
	# nobody can be connected to at port 0
	refused connect 127.0.0.1 0
	refused connect -z 127.0.0.1 0
	refused connect -z 127.0.0.1 0-5
}

@test "lists of ports" {
	for ports in ',' '1,' ',1' '1,,2' - 1- -1 5-4 1-65536 1--2 1-2-3 a-b 80-x x-80 '1 -2' '1-2,' 99999-1; do
		refused connect -z --numeric -w 1 127.0.0.1 "$ports" || refused connect -z 127.0.0.1 -- "$ports"
	done
}

@test "numbers that only look like addresses are refused" {
	isolate
	for host in 127.1 127.0.1 0x7f.1 0x7f000001 2130706433 017700000001 010.0.0.1 127.0.0.01 1.2.3.4.5 \
		256.1.1.1 1.2.3.256 1.2.3 ..1 127.0.0.0x1; do
		refused connect "$host" 1
		refused listen "$host" 0
		refused connect -s "$host" 127.0.0.1 1
	done
}

@test "IPv6 addresses that are none" {
	isolate
	for host in : ::: 1::2::3 ::g ::12345 1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 ::1% ::1%no-such-zone ::1%-1 \
		::1%99999999999 ::ffff:1.2.3 ::1.2.3.256 '[::1' '::1]' '[[::1]]' '[::1]80' '[::1]x:1' %lo; do
		refused connect "$host" 1
		refused listen "$host" 0
	done
	# which colon would it be?
	refused connect ::1:80
	refused connect '[::1]'
	refused connect '[::1]:'
	refused connect '[::1:80'
}

@test "words that are no host names are refused" {
	isolate
	long=$(printf 'a%.0s' {1..254})
	for host in ' ' 'a b' a/b 'a;id' '$(id)' '`id`' "a'b" 'a"b' 'a\b' 'a*' '**' 'a@b' 'a#b' 'a=b' 'a,b' \
		$'a\nb' $'a\tb' $'a\e[2J' $'a\x80' $'\xff' é . .. .a "$long" "$long.b"; do
		refused connect "$host" 1
		refused listen "$host" 0
		refused connect "$host:1"
	done
	refused connect -- -a 1
	refused connect -n localhost 1
	refused listen -n localhost 0
}

@test "an empty HOST, as of an unset variable, is not this machine, nor all its addresses" {
	refused connect "" 1
	refused listen "" 0
	refused connect "[]" 1
	refused listen "[]:0"
	refused connect -z "" 1
}

@test "addresses of the family that was ruled out" {
	refused connect -4 ::1 1
	refused connect -6 127.0.0.1 1
	refused listen -4 ::1 0
	refused listen -6 127.0.0.1 0
}

@test "too few operands, too many, no command, an unknown one" {
	refused
	refused ''
	refused conect 127.0.0.1 1
	refused connec 127.0.0.1 1
	refused --nothing
	refused -x
	for words in connect listen 'connect 127.0.0.1' 'connect 80' 'connect 127.0.0.1 1 2' 'listen 1 2 3' \
		'connect -z' 'connect -z 127.0.0.1' 'connect -z 127.0.0.1:1 127.0.0.1' \
		'connect 127.0.0.1:1 127.0.0.1:2' 'listen 127.0.0.1:0 1' 'listen 127.0.0.1' 'listen localhost'; do
		# shellcheck disable=SC2086
		refused $words
	done
}

@test "a source must be an address, and a descriptor open for writing" {
	for source in localhost '' '*' 127.0.0.1:80 127.0.0.1/8; do
		refused connect -s "$source" 127.0.0.1 1
	done
	refused listen --ready-fd=77 127.0.0.1 0
	returns 2 sh -c 'exec "$@" 8</dev/null' sh "$TCPTOOL" listen --ready-fd=8 127.0.0.1 0
	one_line err ready-fd
	refused listen --port-file= 127.0.0.1 0
	for option in --port-file= --trace= --report=; do
		for name in /dev/fd/77 /proc/self/fd/77; do
			refused listen $option$name 127.0.0.1 0
			one_line err "${option%=}: descriptor 77 is not open for writing"
		done
		returns 2 "$TCPTOOL" listen $option/dev/stdin 127.0.0.1 0 </dev/null
		one_line err "${option%=}: descriptor 0 is not open for writing"
	done
	# a descriptor of its own that has this number later is not meant
	returns 2 "$TCPTOOL" connect -o trace --report=/dev/fd/3 127.0.0.1 1
	one_line err '--report: descriptor 3 is not open for writing'
}

# --- options -------------------------------------------------------------------------------------

@test "unknown options, missing arguments, arguments too many" {
	for words in --no-such -y -Y -zY --quietly '-' '--=' '--=1' '--quiet=1' '--keep-open=yes' -w; do
		refused connect "$words" 127.0.0.1 1 || refused connect 127.0.0.1 1 "$words"
		refused listen 127.0.0.1 0 "$words"
	done
	for command in connect listen; do
		for option in $(options $command with); do
			refused $command 127.0.0.1 0 "$option"
			[[ $(<err) == *"$option"* ]]
		done
		for option in $(options $command); do
			if ! "$TCPTOOL" $command --help | grep -q -- "$option\[*="; then
				refused $command "$option=x" 127.0.0.1 0
			fi
		done
	done
}

@test "an option of the other command says whose it is" {
	options connect | sort >connect.options
	options listen | sort >listen.options
	[ "$(wc -l <connect.options)" -gt 10 ]
	[ "$(wc -l <listen.options)" -gt 10 ]
	for option in $(comm -23 connect.options listen.options); do
		refused listen "$option" 1 127.0.0.1 0
		[[ $(<err) == *"$option"*"tcptool connect"* ]]
	done
	for option in $(comm -13 connect.options listen.options); do
		refused connect "$option" 1 127.0.0.1 1
		[[ $(<err) == *"$option"*"tcptool listen"* ]]
	done
	# short ones, too
	refused listen -z 127.0.0.1 0
	refused connect -k 127.0.0.1 1
}

@test "options that exclude each other, in any order, and options that need others" {
	while read -r words; do
		# shellcheck disable=SC2086
		set -- $words
		refused connect "$1" "$2" 127.0.0.1 1
		refused connect "$2" "$1" 127.0.0.1 1
	done <<-'END'
		-4 -6
		-v --quiet
		-vv --quiet
		--send-only --recv-only
		--keepalive=5 --no-keepalive
		-g -z
		-g -q1
		-g --no-shutdown
		-g --send-only
		-g --recv-only
		-z -q1
		-z --no-shutdown
		-z --send-only
		-z --recv-only
	END
	refused connect --retry-interval=1 127.0.0.1 1
	refused listen -k -m 5 127.0.0.1 0
	refused listen -k --max-per-host=5 127.0.0.1 0
	refused connect 127.0.0.1 80-90
}

@test "options may be repeated, a thousand times, and the last one counts" {
	port=$("$HELPERS/peer" free)
	for option in -4 -n -v -vv --quiet --no-shutdown --send-only --retry=10ms -q0 -w5 -i5 --deadline=5 \
		--keepalive=5,5,5 --no-keepalive -s127.0.0.1 -g -gtext; do
		mapfile -t words < <(yes -- "$option" | head -n 1000)
		returns 4 "$TCPTOOL" connect "${words[@]}" 127.0.0.1 "$port"
	done
	for option in -4 -k --reuse-port --backlog=5 --port-file="$PWD/port" --drain=5 -g; do
		mapfile -t words < <(yes -- "$option" | head -n 1000)
		returns 5 "$TCPTOOL" listen "${words[@]}" -w 10 -w 10ms 127.0.0.1 0
	done
}

@test "what is typed is what others see: no word of the command line is taken apart in place" {
	listen_bg tool -k --forward=localhost:1 127.0.0.1:0
	grep -qz '^--forward=localhost:1$' "/proc/${PIDS[tool]}/cmdline"
	grep -qz '^127.0.0.1:0$' "/proc/${PIDS[tool]}/cmdline"
}

@test "arguments of 100 kB, empty ones and odd ones never crash tcptool" {
	long=$(head -c 100000 /dev/zero | tr '\0' 1)
	for command in connect listen; do
		for option in $(options $command); do
			for value in "$long" "" "%n%s%n" $'\xff'; do
				status=0
				timeout -k 5 "$LIMIT" "$TCPTOOL" $command "$option=$value" -w 10ms \
					--deadline=1 127.0.0.1 1 >out 2>err </dev/null || status=$?
				[ "$status" -lt 12 ] || {
					echo "status $status: $command $option=${value:0:20}"
					return 1
				}
				[ "$(wc -l <err)" -le 1 ]
				[ "$(wc -c <err)" -le 4200 ]
			done
		done
	done
	refused connect "$long" 1
	refused connect "$long:1"
	refused connect "[$long]:1"
	refused connect "::$long" 1
	refused connect "::1%$long" 1
	refused listen "$long"
	refused "$long"
	refused connect "--$long" 127.0.0.1 1
}

@test "COMMAND words behind -- are not operands" {
	refused connect -- 127.0.0.1 1
	refused listen --
	refused listen 127.0.0.1 0 --
	one_line err "COMMAND is missing behind --"
	refused connect -z 127.0.0.1 1 --
	# as the argument of an option it is one
	returns 127 "$TCPTOOL" connect --quiet 127.0.0.1 1 -- -- || returns 4 "$TCPTOOL" connect -c -- 127.0.0.1 1
}

@test "an option's name is written out: a part of it, or a slip, is refused with the name that was meant" {
	while read -r command option meant; do
		refused "$command" "$option" 127.0.0.1 1
		one_line err "${option%%=*}: there is no such option; did you mean $meant?"
	done <<-'END'
		connect --time=5 --timeout
		connect --retr --retry
		connect --retyr=3 --retry
		connect --retry-intervall=1 --retry-interval
		connect --interval=1 --retry-interval
		connect --hexdmup --hexdump
		connect --hex-dump --hexdump
		connect --verbos --verbose
		connect --idle=5 --idle-timeout
		connect --ipv5 --ipv4
		connect --rate=5 --limit-rate
		listen --keep --keep-open
		listen --keepopen --keep-open
		listen --port-fiel=x --port-file
		listen --allowfile=x --allow-file
		listen --max=5 --max-connections
		listen --forwad=a:1 --forward
	END
	refused connect --no-such-thing 127.0.0.1 1
	one_line err "--no-such-thing: there is no such option (see"
	refused connect -verbose 127.0.0.1 1
	one_line err "-verbose: a long option has two dashes: --verbose"
	# nothing was done: not even a file
	refused listen --port 21211
	[ ! -e 21211 ]
}

# shows TEXT WORD...: the words are refused, and the line shows the right form.
shows() {
	local text=$1
	shift
	refused "$@"
	one_line err "$text"
}

@test "the argument of an option that takes it only behind '=': with a blank, the message shows how" {
	isolate
	shows "--retry takes its TIME behind a '=', without a blank: --retry=30" connect --retry 30 127.0.0.1 9
	shows "--retry=30" connect 127.0.0.1:9 --retry 30
	shows "--retry=30" connect -z --retry 30 127.0.0.1:9 127.0.0.1:10
	shows "--retry=1m30s" connect 127.0.0.1 9 --retry 1m30s
	shows "--report takes its FILE" listen --report log.jsonl 9000
	shows "--report=./log" listen --report ./log 9000
	shows "--report=out" listen --report out 127.0.0.1 9000
	shows "--report=out" connect --report out 127.0.0.1:9
	shows "--greet takes its TEXT" listen --greet 'hello %a' 9000
	shows "--greet=hi" connect -g hi 127.0.0.1 9
	# a word that may be a name is looked up, and the failure tells what else it may be
	returns 3 "${NET[@]}" "$TCPTOOL" listen --greet no-such-host.invalid 0
	one_line err "(meant for --greet? write --greet=no-such-host.invalid)"
	# operands behind such an option stay operands
	port=$("$HELPERS/peer" free)
	returns 4 "$TCPTOOL" connect --retry=1ms --report 127.0.0.1 "$port"
	returns 5 "$TCPTOOL" connect --deadline=20ms 127.0.0.1 --retry "$port"
	returns 4 "$TCPTOOL" connect --greet "127.0.0.1:$port"
	returns 5 "$TCPTOOL" listen -w 10ms --greet 0
	returns 5 "$TCPTOOL" listen -w 10ms --report '*' 0
}

@test "what is typed for other programs, or in another order: the message shows the right form" {
	while IFS='|' read -r words right; do
		# shellcheck disable=SC2086
		shows "$right" $words
	done <<-'END'
		listen -p 9000|-p: the port is an operand: tcptool listen 9000
		listen -kp 9000|-p: the port is an operand: tcptool listen 9000
		listen --port 21211|--port: the port is an operand: tcptool listen 21211
		listen --port=21211|--port: the port is an operand: tcptool listen 21211
		listen -s 127.0.0.1 9000|-s: the address is an operand, before PORT: tcptool listen 127.0.0.1
		listen -l 9000|-l: leave it out: tcptool listen listens
		listen -lk 9000|-l: leave it out: tcptool listen listens, with -k
		connect -l 9000|-l: to listen: tcptool listen PORT
		listen -e cat 9000|-e: a command stands behind --: tcptool listen PORT -- cat
		connect -e cat 127.0.0.1 1|-e: a command stands behind --: tcptool connect HOST PORT -- cat
		listen --exec=cat 9000|--exec: a command stands at the end, behind --: -- cat
		listen 9000 cat|a command stands behind --: tcptool listen 9000 -- cat
		listen 127.0.0.1 9000 ./x y|a command stands behind --: tcptool listen 127.0.0.1 9000 -- ./x
		listen 127.0.0.1:9000 ./x|a command stands behind --: tcptool listen 127.0.0.1:9000 -- ./x
		connect 127.0.0.1 1 cat|a command stands behind --: tcptool connect 127.0.0.1 1 -- cat
		listen 9000 127.0.0.1|HOST stands before PORT: tcptool listen 127.0.0.1 9000
		connect 80 example.org|HOST stands before PORT: tcptool connect example.org 80
		connect -u 127.0.0.1 1|-u: there is only TCP
		listen -U /tmp/socket|-U: there is only TCP
		connect -z 127.0.0.1 1 2 3|PORTS are one word: tcptool connect -z 127.0.0.1 1,2,3
		connect -z 127.0.0.1 1 20-30|PORTS are one word: tcptool connect -z 127.0.0.1 1,20-30
		connect http://127.0.0.1:81/x|is a URL: tcptool connect 127.0.0.1:81
		connect nothing://127.0.0.1/|is a URL: tcptool connect 127.0.0.1 PORT
		connect --nodns 127.0.0.1 1|--nodns: it is called --numeric
		connect -V|tcptool --version
		-l 9000|to listen, write tcptool listen PORT
		-lk 9000|to listen, write tcptool listen PORT
		-z 127.0.0.1 80|most stand behind the command
		conect 127.0.0.1 1|did you mean connect?
		lisen 9000|did you mean listen?
		127.0.0.1 80|to connect, write tcptool connect 127.0.0.1 80
		127.0.0.1:80|to connect, write tcptool connect 127.0.0.1:80
	END
	# what is done anyway may be said, but not along with its opposite
	port=$("$HELPERS/peer" free)
	returns 4 "$TCPTOOL" connect -N 127.0.0.1 "$port"
	returns 5 "$TCPTOOL" listen -N -w 10ms 127.0.0.1 0
	shows "--shutdown cannot be used with --no-shutdown" connect -N --no-shutdown 127.0.0.1 1
}

@test "zones: an unknown interface, a missing zone, the form of URLs" {
	shows "this machine has no interface 'nope'" connect fe80::1%nope 1
	shows "this machine has no interface 'nope'" connect '[fe80::1%nope]:1'
	shows "this machine has no interface 4000000000" listen fe80::1%4000000000 0
	shows "'a.b' is no IPv6 address" connect a.b%lo 1
	shows "is link-local: its interface has to be said, as in fe80::1%eth0" connect fe80::1 1
	shows "is link-local" listen '[fe80::1]:0'
	shows "is link-local" listen --forward='[fe80::1]:1' 127.0.0.1 0
	make_network -A fe80::1/64
	start_bg server "${NET[@]}" "$TCPTOOL" listen --port-file=port --recv-only '[fe80::1%25lo]:0'
	wait_port port
	returns 0 "${NET[@]}" "$TCPTOOL" connect "[fe80::1%25lo]:$PORT" </dev/null
	ends 0 server
	# an interface that an option says is as good
	returns 4 "${NET[@]}" "$TCPTOOL" connect -O interface=lo fe80::1 1
}

@test ":PORT is this machine, without a look-up" {
	echo 'hosts: none' >nsswitch
	echo '192.0.2.1 localhost' >hosts
	make_network -b "$PWD/nsswitch:/etc/nsswitch.conf" -b "$PWD/hosts:/etc/hosts"
	for family in 127.0.0.1 ::1; do
		rm -f port
		start_bg server "${NET[@]}" "$TCPTOOL" listen -k --port-file=port --recv-only $family 0
		wait_port port
		returns 0 "${NET[@]}" "$TCPTOOL" connect ":$PORT" </dev/null
		returns 0 "${NET[@]}" "$TCPTOOL" connect -n ":$PORT" </dev/null
		returns 0 "${NET[@]}" "$TCPTOOL" connect -z ":$PORT"
		grep -q "^localhost $PORT open " out
		[ $family = 127.0.0.1 ] || returns 4 "${NET[@]}" "$TCPTOOL" connect -4 ":$PORT"
		[ $family = ::1 ] || returns 4 "${NET[@]}" "$TCPTOOL" connect -6 ":$PORT"
	done
	start_bg relay "${NET[@]}" "$TCPTOOL" listen -n --forward=":$PORT" --port-file=relay.port 127.0.0.1 0
	wait_port relay.port
	returns 0 "${NET[@]}" "$TCPTOOL" connect 127.0.0.1 "$PORT" </dev/null
}

@test "PORT is missing: sockets that were passed on to another process are no reason, and that is told" {
	# shellcheck disable=SC2016 # it is that shell's
	returns 2 sh -c 'LISTEN_FDS=1 LISTEN_PID=1 exec "$@"' sh "$TCPTOOL" listen
	one_line err "\$LISTEN_FDS is not for this process: \$LISTEN_PID is 1, not "
	returns 2 env -u LISTEN_PID LISTEN_FDS=1 "$TCPTOOL" listen
	one_line err "\$LISTEN_PID is not set"
}

# --- help ----------------------------------------------------------------------------------------

@test "--help and --version go to stdout with status 0" {
	for words in --help --version 'connect --help' 'listen --help' 'listen -h' 'connect --help 127.0.0.1 1' \
		'connect --help --send-only --recv-only' help 'help listen' 'help connect' '--help listen'; do
		# shellcheck disable=SC2086
		returns 0 "$TCPTOOL" $words
		holds err ''
		[ -s out ]
	done
	returns 0 "$TCPTOOL" --version
	grep -q '^tcptool [0-9]' out
	for words in --help --version 'connect --help'; do
		# shellcheck disable=SC2086
		returns 7 sh -c 'exec "$@" >/dev/full' sh "$TCPTOOL" $words
		one_line err
	done
}

@test "help COMMAND is COMMAND --help" {
	for command in listen connect; do
		returns 0 "$TCPTOOL" help $command
		mv out help
		returns 0 "$TCPTOOL" $command --help
		cmp out help
	done
	refused help nothing
	refused help listen connect
}

@test "help fits in a terminal of 80 columns, with what is used most at the top" {
	for words in --help 'connect --help' 'listen --help'; do
		# shellcheck disable=SC2086
		returns 0 "$TCPTOOL" $words
		[ "$(wc -L <out)" -le 79 ]
	done
	for command in listen connect; do
		returns 0 "$TCPTOOL" $command --help
		grep '^[^ ].*:$' out | head -n 1 | grep -qx 'Used most:'
		[ "$(grep -c '^[^ ].*:$' out)" -ge 8 ]
		[ "$(sed -n '/^Used most:/,/^$/p' out | grep -cE '^ {2,6}-')" -eq 10 ]
	done
}
