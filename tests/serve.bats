#!/usr/bin/env bats
# Guards what a command gets and what becomes of it, how many are served at a time, and that nobody who
# connects has to suffer for anybody else.

load helpers

# talk PORT STEP...: a client that does these steps.
talk() {
	local port=$1
	shift
	returns 0 "$HELPERS/peer" connect "$port" "$@"
}

# children NAME: the process ids of a background command's children, zombies included.
children() {
	grep -l "^PPid:[[:space:]]*${PIDS[$1]}\$" /proc/[0-9]*/status 2>/dev/null | cut -d / -f 3 || true
}

# no_children NAME: it has none, not even one that waits to be reaped.
no_children() {
	[ -z "$(children "$1")" ]
}

# has_children NAME COUNT
has_children() {
	[ "$(children "$1" | wc -l)" -eq "$2" ]
}

# descriptors NAME: how many a background command has open.
descriptors() {
	local all=("/proc/${PIDS[$1]}/fd"/*)
	echo "${#all[@]}"
}

# --- what the command gets -----------------------------------------------------------------------

@test "COMMAND has descriptors 0, 1 and 2, and no other" {
	start_bg tool bash -c 'exec 11</dev/null 12>unrelated; exec "$@"' bash \
		"$TCPTOOL" listen -k --port-file=port 127.0.0.1 0 -- "$HELPERS/inherited" descriptors
	wait_port port
	# a second one meanwhile must not show up in it, either
	start_bg other "$HELPERS/peer" connect "$PORT" touch:there hold
	wait_for test -e there
	talk "$PORT" rest:'descriptors 0 1 2\n'
	start_bg peer "$HELPERS/peer" -n 2 listen peer.port sink
	wait_port peer.port
	returns 0 bash -c 'exec 11</dev/null; exec "$@"' bash \
		"$TCPTOOL" connect 127.0.0.1 "$PORT" -- "$HELPERS/inherited" descriptors
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" -c "exec $HELPERS/inherited descriptors >&2"
	holds err 'descriptors 0 1 2\n'
	ends 0 peer
	[ "$(grep -c -x 'sank 18 bytes' peer.out)" -eq 1 ]
}

@test "it has no other descriptor on a kernel without close_range, with and without /proc" {
	need_strace
	mkdir empty
	for proc in /proc "$PWD/empty"; do
		make_network -b "$proc:/proc"
		"${NET[@]}" "$HELPERS/pause" 1 2>/dev/null || skip "the sanitizer wants /proc"
		rm -f port
		# shellcheck disable=SC2016
		start_bg tool "${NET[@]}" bash -c 'exec "$@" 7</dev/null 8</dev/null 200</dev/null' bash \
			strace -f -o calls -e trace=close_range -e inject=close_range:error=ENOSYS \
			"$TCPTOOL" listen -k --port-file=port 127.0.0.1 0 -- "$HELPERS/inherited" descriptors
		wait_port port
		returns 0 "${NET[@]}" "$HELPERS/peer" connect "$PORT" rest:'descriptors 0 1 2\n'
		grep -q 'close_range.*INJECTED' calls
		# strace would leave it behind
		kill -TERM "$(<"/proc/${PIDS[tool]}/task/${PIDS[tool]}/children")"
		ends 143 tool
	done
}

@test "COMMAND has no signal blocked and none ignored, whatever tcptool has inherited" {
	start_bg tool env --ignore-signal=PIPE,XFSZ,HUP --block-signal=USR2 --block-signal=TERM \
		"$TCPTOOL" listen -k --port-file=port 127.0.0.1 0 -- "$HELPERS/inherited" signals
	wait_port port
	talk "$PORT" rest:'blocked\nignored\n'
	peer_bg peer sink:seen
	returns 0 env --ignore-signal=PIPE --block-signal=USR1 \
		"$TCPTOOL" connect 127.0.0.1 "$PORT" -- "$HELPERS/inherited" signals
	ends 0 peer
	holds seen 'blocked\nignored\n'
}

@test "stdin and stdout are the socket itself, and it waits" {
	listen_bg tool -k 127.0.0.1 0 -- "$HELPERS/inherited" stdin
	talk "$PORT" rest:'stdin socket blocking same\n'
	peer_bg peer sink:seen
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" -- "$HELPERS/inherited" stdin
	ends 0 peer
	holds seen 'stdin socket blocking same\n'
}

@test "it gets back the limit of descriptors that tcptool was given" {
	start_bg tool bash -c 'ulimit -Sn 30; ulimit -Hn 60; exec "$@"' bash \
		"$TCPTOOL" listen -k --port-file=port 127.0.0.1 0 -- "$HELPERS/inherited" limit
	wait_port port
	talk "$PORT" rest:'limit 30 60\n'
	grep -q '^Max open files *60 *60 ' "/proc/${PIDS[tool]}/limits"
}

@test "the environment has the addresses of the connection (UCSPI)" {
	listen_bg tool -k 127.0.0.3 0 -c 'env | grep -E "^(PROTO=|TCP[CLR])" | sort'
	returns 0 "$HELPERS/peer" -a 127.0.0.3 -s 127.0.0.4 connect "$PORT" sink:seen
	sed -i 's/^\(TCPREMOTEPORT=\)[1-9][0-9]*$/\1N/' seen
	holds seen "PROTO=TCP\nTCPCONNNUM=1\nTCPLOCALIP=127.0.0.3\nTCPLOCALPORT=$PORT\nTCPREMOTEIP=127.0.0.4\nTCPREMOTEPORT=N\n"
	peer_bg peer sink:seen
	returns 0 "$TCPTOOL" connect -s 127.0.0.5 127.0.0.1 "$PORT" -c 'env | grep -E "^(PROTO=|TCP[CLR])" | sort'
	ends 0 peer
	sed -i 's/^\(TCPLOCALPORT=\)[1-9][0-9]*$/\1N/' seen
	holds seen "PROTO=TCP\nTCPCONNNUM=1\nTCPLOCALIP=127.0.0.5\nTCPLOCALPORT=N\nTCPREMOTEIP=127.0.0.1\nTCPREMOTEPORT=$PORT\n"
}

@test "TCPREMOTEPORT is the port of the peer, and IPv6 addresses are shown as such" {
	need_ipv6
	listen_bg tool -kv ::1 0 -c 'echo $TCPREMOTEIP $TCPREMOTEPORT $TCPLOCALIP'
	returns 0 "$TCPTOOL" connect ::1 "$PORT"
	read -r ip port local <out
	[ "$ip" = ::1 ] && [ "$local" = ::1 ]
	wait_for grep -qx "tcptool: connection from ::1 port $port" tool.err
}

@test "TCPCONNNUM counts the connections of this peer" {
	listen_bg tool -k 127.0.0.1 0 -c 'echo $TCPCONNNUM; cat'
	start_bg one "$HELPERS/peer" connect "$PORT" 'expect:1\n' touch:one wait:go
	wait_for test -e one
	start_bg two "$HELPERS/peer" connect "$PORT" 'expect:2\n' touch:two wait:go
	wait_for test -e two
	returns 0 "$HELPERS/peer" -s 127.0.0.2 connect "$PORT" shut 'rest:1\n'
	touch go
	ends 0 one
	ends 0 two
	wait_for no_children tool
	talk "$PORT" shut 'rest:1\n'
}

@test "variables that describe another connection are not passed on" {
	start_bg tool env PROTO=SSL TCPREMOTEIP=6.6.6.6 TCPREMOTEHOST='() { :;}; echo' TCPREMOTEINFO=root \
		TCPLOCALHOST=x TCPCONNNUM=77 LISTEN_FDS=1 LISTEN_PID=1 LISTEN_FDNAMES=x KEPT=kept \
		"$TCPTOOL" listen -k --port-file=port 127.0.0.1 0 -c 'env | grep -E "^(PROTO=|TCP[CLR]|LISTEN|NOTIFY|KEPT)" | sort'
	wait_port port
	talk "$PORT" sink:seen
	sed -i 's/^\(TCPREMOTEPORT=\)[1-9][0-9]*$/\1N/' seen
	holds seen "KEPT=kept\nPROTO=TCP\nTCPCONNNUM=1\nTCPLOCALIP=127.0.0.1\nTCPLOCALPORT=$PORT\nTCPREMOTEIP=127.0.0.1\nTCPREMOTEPORT=N\n"
}

@test "stderr stays what it was" {
	listen_bg tool -k 127.0.0.1 0 -c 'echo said >&2'
	talk "$PORT" eof
	wait_for holds tool.err 'said\n'
}

@test "behind -- words stay words, with -c a shell reads them" {
	listen_bg words -k 127.0.0.1 0 -- printf '%s\n' '$HOME' 'a  b' '*' -k --help
	talk "$PORT" 'rest:$HOME\na  b\n*\n-k\n--help\n'
	listen_bg shell -k 127.0.0.1 0 -c 'a="x  y"; echo "$a" | tr x z'
	talk "$PORT" 'rest:z  y\n'
	# a string that begins like an option is none
	listen_bg dash -k 127.0.0.1 0 -c '-n; echo x'
	talk "$PORT" 'rest:x\n'
	returns 2 "$TCPTOOL" listen -c true 127.0.0.1 0 -- true
	one_line err
	returns 2 "$TCPTOOL" listen --greet 127.0.0.1 0 -- true
	one_line err
}

# --- both ways ------------------------------------------------------------------------------------

@test "listen -- cat: 4 MiB there and back, with half-close, are the same bytes" {
	random sent 4194304
	listen_bg tool -k 127.0.0.1 0 -- cat
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" <sent
	cmp sent out
	# from a pipe as well, several at the same time
	for i in 1 2 3 4; do
		start_bg "c$i" sh -c 'cat sent | exec "$@"' sh "$TCPTOOL" connect 127.0.0.1 "$PORT"
	done
	for i in 1 2 3 4; do
		ends 0 "c$i"
		cmp sent "c$i.out"
	done
	wait_for no_children tool
}

@test "connect -- cat: 4 MiB there and back, with half-close, are the same bytes" {
	random sent 4194304
	IN=sent listen_bg server 127.0.0.1 0
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" -- cat
	ends 0 server
	cmp sent server.out
}

# --- how it ends ----------------------------------------------------------------------------------

@test "one connection, one command: its status is that of tcptool" {
	for command in true:0 false:1 'exit 42:42' 'exit 125:125'; do
		listen_bg tool 127.0.0.1 0 -c "${command%:*}"
		talk "$PORT" eof
		ends "${command#*:}" tool
		holds tool.err ''
		rm tool.port
		rm -f peer.port
		peer_bg peer eof
		returns "${command#*:}" "$TCPTOOL" connect 127.0.0.1 "$PORT" -c "${command%:*}"
		ends 0 peer
		holds err ''
	done
}

@test "a command that was killed: 128 and the signal" {
	listen_bg tool 127.0.0.1 0 -c 'kill -KILL $$'
	talk "$PORT" eof
	ends 137 tool
	peer_bg peer eof
	returns 143 "$TCPTOOL" connect 127.0.0.1 "$PORT" -c 'kill -TERM $$'
	ends 0 peer
	peer_bg other eof
	# it is the command's end and not ours: no signal is raised, and the shell has nothing to tell
	returns 0 bash -c '"$@"; [ $? -eq 139 ]' bash "$TCPTOOL" connect 127.0.0.1 "$PORT" -c 'exit 139'
	holds err ''
	ends 0 other
}

@test "a command that does not exist is 127, one that cannot be executed 126, and no socket listens" {
	echo 'echo no' >plain
	mkdir directory
	for words in 'no-such-command:127' './no/such:127' './plain:126' './directory:126'; do
		returns "${words#*:}" "$TCPTOOL" listen --port-file=port 127.0.0.1 0 -- "${words%:*}"
		one_line err "${words%:*}"
		[ ! -e port ]
		# and nobody is connected to: this would be status 4
		returns "${words#*:}" "$TCPTOOL" connect 127.0.0.1 "$("$HELPERS/peer" free)" -- "${words%:*}"
		one_line err "${words%:*}"
	done
}

@test "a command that vanishes meanwhile is a child that ends with 127, and serving goes on" {
	cp "$(command -v cat)" mycat
	listen_bg tool -k 127.0.0.1 0 -- ./mycat
	talk "$PORT" send:x shut rest:x
	mv mycat gone
	talk "$PORT" eof
	wait_for one_line tool.err 'No such file'
	mv gone mycat
	talk "$PORT" send:y shut rest:y
}

@test "with -k failing commands end nothing; -v tells how each ended" {
	listen_bg tool -kv 127.0.0.1 0 -c 'read -r n; [ "$n" != kill ] || kill -9 $$; exit $n'
	talk "$PORT" 'send:3\n' eof
	talk "$PORT" 'send:kill\n' eof
	talk "$PORT" 'send:0\n' eof
	wait_for grep -qE "^tcptool: connection from 127.0.0.1 port [0-9]+: command [0-9]+ ended with status 3$" tool.err
	wait_for grep -qE "ended by signal 9$" tool.err
	wait_for grep -qE "ended with status 0$" tool.err
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
}

@test "connect: when tcptool is told to end, the command is told as well" {
	for signal in TERM INT HUP; do
		peer_bg peer hold
		start_bg tool env --default-signal=INT --default-signal=HUP "$TCPTOOL" connect 127.0.0.1 "$PORT" \
			-c "trap 'echo $signal >told; exit' $signal; touch ready; while :; do $HELPERS/pause 20; done"
		wait_for test -e ready
		kill -"$signal" "${PIDS[tool]}"
		ends $((128 + $(kill -l $signal))) tool
		wait_for test -s told
		[ "$(<told)" = "$signal" ]
		rm told ready peer.port
		kill "${PIDS[peer]}"
		ends 143 peer
	done
}

@test "connect -z -- COMMAND: runs when all are open, in our place" {
	listen_bg tool -k --recv-only 127.0.0.1 0
	echo input >input
	start_bg run "$TCPTOOL" connect -z --quiet 127.0.0.1 "$PORT" -c 'echo "$$"; env | grep -c ^TCP[CLR]; cat; exit 3'
	pid=${PIDS[run]}
	ends 3 run
	holds run.out "$pid\n0\n"
	# shellcheck disable=SC2094
	returns 0 "$TCPTOOL" connect -z --quiet 127.0.0.1 "$PORT" -- cat <input
	holds out 'input\n'
	returns 4 "$TCPTOOL" connect -z --quiet 127.0.0.1 "$("$HELPERS/peer" free)" -- touch ran
	[ ! -e ran ]
}

@test "SIGTERM ends the listener at once, and is passed on to the commands" {
	listen_bg tool -k 127.0.0.1 0 -c 'trap "echo told >told; exit" TERM; echo $$ >child; while :; do '"$HELPERS/pause"' 20; done'
	start_bg peer "$HELPERS/peer" connect "$PORT" eof
	wait_for test -s child
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	wait_for test -s told
	ends 0 peer
	holds tool.err ''
}

@test "signals that were inherited as blocked: children are reaped, and SIGTERM ends the server" {
	start_bg tool env --block-signal=CHLD --block-signal=TERM "$TCPTOOL" listen -k -m 1 --port-file=tool.port \
		127.0.0.1 0 -- cat
	wait_port tool.port
	for i in 1 2 3; do
		returns 0 "$HELPERS/peer" connect "$PORT" send:"$i" shut rest:"$i"
	done
	returns 7 env --block-signal=CHLD "$TCPTOOL" connect -c 'exit 7' 127.0.0.1 "$PORT"
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
}

@test "--drain lets commands go on; then, or at a second signal, they get SIGTERM" {
	listen_bg tool -k --drain=1m 127.0.0.1 0 -- cat
	start_bg peer "$HELPERS/peer" connect "$PORT" send:a expect:a touch:there wait:go send:b shut rest:b
	wait_for test -e there
	kill -TERM "${PIDS[tool]}"
	# it listens no more
	wait_for refused "$PORT"
	stays 100 tool
	touch go
	ends 0 peer
	ends 143 tool
	rm there tool.port
	listen_bg tool -k --drain=200ms 127.0.0.1 0 -- cat
	start_bg peer "$HELPERS/peer" connect "$PORT" send:a expect:a touch:there eof
	wait_for test -e there
	kill -INT "${PIDS[tool]}" 2>/dev/null
	kill -TERM "${PIDS[tool]}"
	ends 143 tool
	ends 0 peer
}

refused() {
	! "$TCPTOOL" connect -z --quiet 127.0.0.1 "$1"
}

@test "--deadline ends a command's listener, and the command" {
	listen_bg tool -k --deadline=2 127.0.0.1 0 -- cat
	talk "$PORT" send:x expect:x eof
	ends 5 tool
	one_line tool.err --deadline
}

few_descriptors() {
	[ "$(descriptors "$1")" -le "$2" ]
}

@test "reaped at once: no zombie and no descriptor stays behind" {
	listen_bg tool -k 127.0.0.1 0 -- true
	before=$(descriptors tool)
	returns 0 "$HELPERS/peer" -n 50 connect "$PORT" eof
	wait_for no_children tool
	wait_for few_descriptors tool "$before"
}

# --- how many -------------------------------------------------------------------------------------

@test "-m: more wait, and none is dropped" {
	listen_bg tool -k -m 3 127.0.0.1 0 -- cat
	for i in 1 2 3; do
		start_bg "c$i" "$HELPERS/peer" connect "$PORT" send:x expect:x "touch:c$i" wait:go shut eof
		wait_for test -e "c$i"
	done
	start_bg c4 "$HELPERS/peer" connect "$PORT" send:y expect:y touch:c4 shut eof
	"$HELPERS/pause" 200
	[ ! -e c4 ]
	has_children tool 3
	calm tool
	touch go
	for i in 1 2 3 4; do
		ends 0 "c$i"
	done
	returns 0 "$HELPERS/storm" -c 200 "$PORT" 600
	wait_for no_children tool
}

@test "-m holds for --forward and --greet as well" {
	start_bg crowd "$HELPERS/crowd" listen crowd.port
	wait_port crowd.port
	listen_bg tool -k -m 2 --forward="127.0.0.1:$PORT" 127.0.0.1 0
	start_bg held "$HELPERS/crowd" connect "$PORT" 2 there go
	wait_for test -e there
	start_bg third "$HELPERS/peer" connect "$PORT" send:y expect:y touch:third shut eof
	"$HELPERS/pause" 200
	[ ! -e third ]
	touch go
	ends 0 held
	ends 0 third
	returns 0 "$HELPERS/storm" -c 50 "$PORT" 500
}

@test "--max-per-host: one more of the same address is closed at once, others are served" {
	listen_bg tool -kv --max-per-host=2 127.0.0.1 0 -- cat
	start_bg held "$HELPERS/crowd" connect "$PORT" 2 there go
	wait_for test -e there
	returns 0 "$HELPERS/storm" -r "$PORT" 20
	returns 0 "$HELPERS/peer" connect "$PORT" eof
	returns 0 "$HELPERS/peer" -s 127.0.0.2 connect "$PORT" send:x shut rest:x
	wait_for grep -qE 'refused 127.0.0.1 port [0-9]+: .*--max-per-host' tool.err
	touch go
	ends 0 held
	wait_for no_children tool
	# the places are free again
	start_bg again "$HELPERS/crowd" connect "$PORT" 2 again.there again.go
	wait_for test -e again.there
	touch again.go
	ends 0 again
}

@test "a command that does not read slows no other connection" {
	# the first one stops, with its socket full in both directions
	listen_bg tool -k 127.0.0.1 0 -c \
		'[ "$TCPREMOTEIP" = 127.0.0.1 ] || { echo $$ >asleep; exec sleep 1000; }; exec cat'
	start_bg stopped "$HELPERS/peer" -s 127.0.0.9 connect "$PORT" stuff touch:stuffed hold
	wait_for test -e stuffed
	PIDS[asleep]=$(<asleep)
	random sent 1048576
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" <sent
	cmp sent out
	calm tool stopped
}

# --- signals --------------------------------------------------------------------------------------

# pester NAME SIGNAL...: sends it signals, as fast as it goes, until it is gone or FILE "enough" is there.
pester() {
	local pid=$1 signal
	shift
	until [ -e enough ]; do
		for signal; do
			kill -"$signal" "$pid" 2>/dev/null || return 0
		done
	done
}

@test "storms of SIGCHLD, SIGHUP and SIGUSR1 lose no byte of a COMMAND" {
	echo 127.0.0.0/8 >rules
	random sent 16777216
	listen_bg tool -k --allow-file=rules 127.0.0.1 0 -- cat
	pester "${PIDS[tool]}" CHLD HUP USR1 3>&- 4>&- &
	PIDS["pester"]=$!
	for i in 1 2; do
		IN=sent start_bg "c$i" "$TCPTOOL" connect 127.0.0.1 "$PORT"
	done
	returns 0 "$HELPERS/storm" -c 20 "$PORT" 500
	for i in 1 2; do
		ends 0 "c$i"
		cmp sent "c$i.out"
	done
	touch enough
	ends 0 pester
	wait_for no_children tool
	talk "$PORT" send:x shut rest:x
	# but for the reports that SIGUSR1 asks for
	fails grep -v '^{"connection":' tool.err
}

@test "storms of SIGCHLD and SIGHUP lose no byte of a forwarded connection" {
	echo 127.0.0.0/8 >rules
	random sent 33554432
	start_bg crowd "$TCPTOOL" listen -k --port-file=crowd.port 127.0.0.1 0 -- cat
	wait_port crowd.port
	listen_bg tool -k --allow-file=rules --forward="127.0.0.1:$PORT" 127.0.0.1 0
	pester "${PIDS[tool]}" CHLD HUP 3>&- 4>&- &
	PIDS["pester"]=$!
	returns 0 "$TCPTOOL" connect 127.0.0.1 "$PORT" <sent
	cmp sent out
	touch enough
	ends 0 pester
	holds tool.err ''
}

@test "more than one worker: --reuse-port spreads the connections" {
	listen_bg one -k --reuse-port 127.0.0.1 0 -c 'echo one'
	start_bg two "$TCPTOOL" listen -k --reuse-port --port-file=two.port 127.0.0.1 "$PORT" -c 'echo two'
	wait_for test -e two.port
	for ((i = 0; i < 40; i++)); do
		"$HELPERS/peer" connect "$PORT" sink:seen >/dev/null
		cat seen >>all
	done
	[ "$(wc -l <all)" -eq 40 ]
	grep -qx one all
	grep -qx two all
}
