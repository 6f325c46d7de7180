#!/usr/bin/env bats
# Guards the options that change what is sent or how: --crlf, --telnet, --limit-rate, --delay, --chunk and
# --sockopt.

load helpers

# pieces FILE: the lengths of what was sent at a time, from a trace of JSON lines.
pieces() {
	grep '"direction":"sent","offset"' "$1" | "$HELPERS/json" get length
}

# --- --crlf --------------------------------------------------------------------------------------

@test "-C: LF becomes CRLF, and one that is there already is not doubled" {
	peer_bg peer rest:'a\r\nb\r\n\r\n\rc\r\r\n\r\n'
	returns 0 "$TCPTOOL" connect -C 127.0.0.1 "$PORT" < <(printf 'a\nb\r\n\n\rc\r\r\n\n')
	ends 0 peer
}

@test "-C: across the border of two reads as well" {
	mkfifo in
	exec 5<>in
	peer_bg peer expect:'a\r' touch:one expect:'\nb' touch:two rest:'\r\n'
	IN=in start_bg tool "$TCPTOOL" connect -C 127.0.0.1 "$PORT"
	printf 'a\r' >&5
	wait_for test -e one
	printf '\nb' >&5
	wait_for test -e two
	printf '\n' >&5
	exec 5>&-
	ends 0 tool
	ends 0 peer
}

@test "-C: millions of lines come out as by hand, and what is received is left alone" {
	seq 400000 >lines
	sed 's/$/\r/' lines >expected
	peer_bg peer file:lines sink:kept
	returns 0 "$TCPTOOL" connect -C 127.0.0.1 "$PORT" <lines
	ends 0 peer
	cmp expected kept
	cmp lines out
}

# --- --telnet ------------------------------------------------------------------------------------

@test "-t: negotiation is refused and does not show up, however it is cut" {
	# DO ECHO, WILL SGA, DONT ECHO, a subnegotiation, a doubled IAC that is one byte of data
	said='lo\xff\xfd\x01gi\xff\xfb\x03n\xff\xfe\x01:\xff\xfa\x18\x01\xff\xf0 \xff\xff\xff\xf1.'
	for how in "send:$said" "dribble:2:$said"; do
		peer_bg peer "$how" expect:'\xff\xfc\x01\xff\xfe\x03' shut eof
		mkfifo in
		exec 5<>in
		IN=in start_bg tool "$TCPTOOL" connect -t 127.0.0.1 "$PORT"
		wait_for holds tool.out 'login: \xff.'
		exec 5>&-
		ends 0 tool
		ends 0 peer
		rm in
	done
}

@test "-t: a byte 255 in what is sent is doubled" {
	peer_bg peer rest:'a\xff\xffb'
	returns 0 "$TCPTOOL" connect -t 127.0.0.1 "$PORT" < <(printf 'a\xffb')
	ends 0 peer
}

@test "-t: every option is refused at once, also when stdin says nothing" {
	local asked='' refused='' hex
	for i in {0..255}; do
		printf -v hex %02x "$i"
		asked+="\xff\xfd\x$hex\xff\xfb\x$hex"
		refused+="\xff\xfc\x$hex\xff\xfe\x$hex"
	done
	printf %b "$asked" >asked
	printf %b "$refused" >refused
	mkfifo in
	exec 5<>in
	peer_bg peer send:hello wait:go file:asked gulp:1536 touch:all sink
	IN=in start_bg tool "$TCPTOOL" connect -t -o trace --trace-format=raw 127.0.0.1 "$PORT"
	wait_for holds tool.out hello
	touch go
	wait_for test -e all
	head -c 1536 trace.1.out | cmp - refused
	calm tool
	exec 5>&-
	ends 0 tool
}

@test "-t: an answer does not wait behind a line that is delayed" {
	mkfifo in
	exec 5<>in
	peer_bg peer expect:'a\n' send:'\xff\xfd\x01' expect:'b\xff\xfc\x01' touch:refused eof
	IN=in start_bg tool "$TCPTOOL" connect -t --delay=300ms 127.0.0.1 "$PORT"
	printf 'a\nb' >&5
	wait_for test -e refused
	exec 5>&-
	ends 0 tool
	ends 0 peer
}

@test "-t: answers still go when stdin has ended, as long as no FIN has gone" {
	for option in --no-shutdown --recv-only; do
		rm -f go
		peer_bg peer send:hello wait:go send:'\xff\xfd\x01' expect:'\xff\xfc\x01' touch:"refused$option" \
			wait:over
		start_bg tool "$TCPTOOL" connect -t $option 127.0.0.1 "$PORT"
		wait_for holds tool.out hello
		touch go
		wait_for test -e "refused$option"
		calm tool
		touch over
		ends 0 tool
		ends 0 peer
		rm over
	done
}

@test "-C and -t together" {
	peer_bg peer rest:'a\r\n\xff\xffb\r\n'
	returns 0 "$TCPTOOL" connect -C -t 127.0.0.1 "$PORT" < <(printf 'a\n\xffb\n')
	ends 0 peer
}

# --- --limit-rate, --delay, --chunk --------------------------------------------------------------

# took MS COMMAND...: COMMAND succeeds, and not sooner than after so long.
took() {
	local began=${EPOCHREALTIME/./} least=$1 ms
	shift
	returns 0 "$@"
	ms=$(((${EPOCHREALTIME/./} - began) / 1000))
	[ "$ms" -ge "$least" ] || {
		echo "it took $ms ms only"
		return 1
	}
}

@test "--limit-rate: not faster than that, in either direction, and nothing lost" {
	random file 300000
	peer_bg peer file:file sink:kept
	# a tenth of a second's worth may go at once
	took 1300 "$TCPTOOL" connect --limit-rate=200k 127.0.0.1 "$PORT" <file
	ends 0 peer
	cmp file kept
	cmp file out
}

@test "--limit-rate counts what crosses the wire, and not what -C and -t make it of" {
	head -c 150000 /dev/zero | tr '\0' '\n' >lines
	peer_bg peer sink:kept
	took 1200 "$TCPTOOL" connect -C --limit-rate=200k 127.0.0.1 "$PORT" <lines
	ends 0 peer
	[ "$(stat -c %s kept)" -eq 300000 ]
	head -c 300000 /dev/zero | tr '\0' '\377' >doubled
	peer_bg other file:doubled sink
	took 1200 "$TCPTOOL" connect -t --limit-rate=200k 127.0.0.1 "$PORT" </dev/null
	ends 0 other
	[ "$(stat -c %s out)" -eq 150000 ]
}

@test "--limit-rate is each connection's own, and limits a forwarder too" {
	random file 200000
	listen_bg upstream -k 127.0.0.1 0 -- cat
	listen_bg tool -k --limit-rate=200k -F "127.0.0.1:$PORT" 127.0.0.1 0
	took 800 "$TCPTOOL" connect 127.0.0.1 "$PORT" <file
	cmp file out
}

@test "--limit-rate leaves the bytes to the kernel" {
	need_strace
	random file 3000000
	peer_bg peer sink:kept
	# shellcheck disable=SC2002 # stdin is to be a pipe
	cat file | returns 0 strace -o calls "$TCPTOOL" connect --limit-rate=10M 127.0.0.1 "$PORT"
	ends 0 peer
	cmp file kept
	[ "$(grep -c '^splice(' calls)" -ge 3 ]
}

@test "--limit-rate and --delay take no processor time while they wait" {
	random file 100000
	peer_bg peer sink
	IN="file" start_bg tool "$TCPTOOL" connect --limit-rate=1k 127.0.0.1 "$PORT"
	seq 100 >lines
	peer_bg other sink
	IN=lines start_bg slow "$TCPTOOL" connect --delay=10 127.0.0.1 "$PORT"
	calm tool slow
}

@test "--delay takes no processor time either when the peer has ended and a terminal is read no more" {
	need_terminal
	peer_bg peer expect:'one\n' shut rest:'two\n'
	# shellcheck disable=SC2016 # the inner shell expands it
	returns 0 "$HELPERS/pty" -i 'type:one\ntwo\n' -- \
		bash -c '"$0" connect --delay=1 127.0.0.1 "$1"; times >times' "$TCPTOOL" "$PORT"
	ends 0 peer
	# the second line is the children's: user and system
	tail -n 1 times | tr ms ' ' | awk '{ exit !(60 * $1 + $2 + 60 * $3 + $4 < 0.5) }'
}

@test "--delay: a pause behind each line, and the lines stay whole" {
	peer_bg peer sink:kept
	took 600 "$TCPTOOL" connect --delay=200ms -o trace.jsonl 127.0.0.1 "$PORT" < <(printf 'one\ntwo\nthree\nfour')
	ends 0 peer
	holds kept 'one\ntwo\nthree\nfour'
	pieces trace.jsonl >lengths
	holds lengths '4\n4\n6\n4\n'
}

@test "--chunk: no more than so much in one write" {
	random file 10000
	peer_bg peer sink:kept
	returns 0 "$TCPTOOL" connect --chunk=999 -o trace.jsonl 127.0.0.1 "$PORT" <file
	ends 0 peer
	cmp file kept
	pieces trace.jsonl | awk '$1 > 999 { exit 1 } END { exit NR < 11 }'
}

# --- --sockopt -----------------------------------------------------------------------------------

@test "-O help lists every option, in both commands, and asks for nothing else" {
	for command in listen connect; do
		returns 0 "$TCPTOOL" $command -O help
		for name in nodelay keepidle user-timeout sndbuf rcvbuf dscp ttl mark interface congestion maxseg fastopen mptcp; do
			grep -qw "^$name" out
		done
	done
}

@test "-O: a name that does not exist lists those that do; a bad value names the range" {
	returns 2 "$TCPTOOL" connect -O nodelai 127.0.0.1 1
	one_line err "no option 'nodelai'; there are congestion"
	for bad in ttl=0 ttl=256 ttl=x ttl= ttl keepcnt=-1 rcvbuf=9999999999 user-timeout=1e9 mptcp=1 nodelay=2 ttl=0x10; do
		returns 2 "$TCPTOOL" connect -O "$bad" 127.0.0.1 1
		one_line err "${bad%%=*}"
	done
	returns 2 "$TCPTOOL" connect -O nodelay=yes 127.0.0.1 1
	one_line err "'yes' is no value for nodelay, which takes 0 or 1"
	returns 2 "$TCPTOOL" connect -O user-timeout=600h 127.0.0.1 1
	one_line err "'600h' is no value for user-timeout, which takes 1 to 2147483647 ms"
	returns 2 "$TCPTOOL" connect -O ttl=0 127.0.0.1 1
	one_line err "'0' is no value for ttl, which takes 1 to 255"
}

@test "-O: what the kernel refuses is one line and status 2 before there is a connection" {
	returns 2 "$TCPTOOL" connect -O congestion=nonesuch 127.0.0.1 1
	one_line err '--sockopt congestion: '
	returns 2 "$TCPTOOL" listen -O interface=nonesuch 127.0.0.1 0
	one_line err '--sockopt interface: '
}

@test "-O reaches the kernel, on both sides and in both families" {
	need_strace
	need_ipv6
	for address in 127.0.0.1 ::1; do
		start_bg "server$address" strace -f -o server.calls "$TCPTOOL" listen --port-file=port -O ttl=9 -O nodelay=0 \
			-O rcvbuf=64k -O user-timeout=3s $address 0
		wait_for test -e port
		returns 0 strace -o client.calls "$TCPTOOL" connect -O dscp=46 -O ttl=7 -O keepidle=90 $address "$(cat port)"
		ends 0 "server$address"
		rm port
		if [ $address = ::1 ]; then
			grep -q 'IPV6_TCLASS, \[184\]' client.calls
			grep -q 'IPV6_UNICAST_HOPS, \[7\]' client.calls
			grep -q 'IPV6_UNICAST_HOPS, \[9\]' server.calls
		else
			grep -q 'IP_TOS, \[184\]' client.calls
			grep -q 'IP_TTL, \[7\]' client.calls
			grep -q 'IP_TTL, \[9\]' server.calls
		fi
		# what is asked for comes behind what is set anyway
		[[ $(grep 'TCP_KEEPIDLE' client.calls | tail -n 1) == *'[90]'* ]]
		[[ $(grep 'TCP_NODELAY' server.calls | tail -n 1) == *'[0]'* ]]
		grep -q 'SO_RCVBUF, \[65536\]' server.calls
		grep -q 'TCP_USER_TIMEOUT, \[3000\]' server.calls
	done
}

@test "-O mptcp: the same bytes" {
	[ "$(cat /proc/sys/net/mptcp/enabled 2>/dev/null)" = 1 ] || skip "no MPTCP here"
	random file 500000
	listen_bg tool -O mptcp 127.0.0.1 0
	returns 0 "$TCPTOOL" connect -O mptcp 127.0.0.1 "$PORT" <file
	ends 0 tool
	cmp file tool.out
}
