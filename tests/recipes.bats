#!/usr/bin/env bats
# Guards the tasks of tcptool-recipes(7): its examples are run and compared; and that the programs people
# put behind and in front of tcptool get along with it: git, rsync, ssh, curl. A program that is not
# installed skips its test.

load helpers
load examples

RECIPES=$BATS_TEST_DIRNAME/../man/tcptool-recipes.7

setup_file() {
	run_examples "$RECIPES"
}

# before_examples: an ssh daemon at the port of the page, and an ssh with the test's key for a user's own.
before_examples() {
	local ssh port
	port=$(sed "$PORTS_IN" <<<9022)
	if sshd_bg "$port"; then
		ssh=$(command -v ssh)
		printf '#!/bin/sh\nexec %s -F "%s" "$@"\n' "$ssh" "$PWD/ssh.conf" >bin/ssh
		chmod +x bin/ssh
	else
		# shellcheck disable=SC2034 # run_examples uses it
		LACKS[ssh]=$REASON
	fi
}

# tree DIR: a directory tree with files large, small, empty and executable.
tree() {
	mkdir -p "$1/deep/er"
	random "$1/large" 3000000
	seq 1000 >"$1/deep/text"
	: >"$1/deep/er/empty"
	printf '#!/bin/sh\n' >"$1/run"
	chmod 755 "$1/run"
}

# git that minds no configuration but its own.
lonely_git() {
	HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 git -c user.name=me -c user.email=me@localhost "$@"
}

# make_project: a repository "project" with two commits, to be had by git daemon.
make_project() {
	lonely_git init -q project
	tree project/files
	lonely_git -C project add files
	lonely_git -C project commit -q -m first
	echo more >project/more
	lonely_git -C project add more
	lonely_git -C project commit -q -m second
}

# sshd_bg PORT: an ssh daemon of the test's own at PORT, in the network of NET if there is one. It lets in the
# owner of the test's own key; "ssh -F ssh.conf" has that. Where it cannot be, REASON says why, and it fails.
sshd_bg() {
	local tool daemon prefix=("${NET[@]}")
	for tool in ssh ssh-keygen; do
		REASON="no $tool"
		command -v "$tool" >/dev/null || return 1
	done
	daemon=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v sshd) || {
		REASON="no sshd"
		return 1
	}
	ssh-keygen -q -t ed25519 -N '' -f host_key
	ssh-keygen -q -t ed25519 -N '' -f my_key
	cp my_key.pub authorized
	printf '%s\n' "ListenAddress 127.0.0.1:$1" "HostKey $PWD/host_key" "PidFile none" "UsePAM no" \
		"AuthorizedKeysFile $PWD/authorized" 'StrictModes no' 'PasswordAuthentication no' \
		'KbdInteractiveAuthentication no' 'PermitRootLogin prohibit-password' >sshd.conf
	printf '%s\n' "127.0.0.1 $(<host_key.pub)" >known
	printf '%s\n' "IdentityFile $PWD/my_key" 'IdentitiesOnly yes' 'BatchMode yes' 'LogLevel ERROR' \
		"UserKnownHostsFile $PWD/known" 'StrictHostKeyChecking yes' 'HostKeyAlias 127.0.0.1' >ssh.conf
	if [ "$(id -u)" -eq 0 ] && [ ! -d /run/sshd ]; then
		# it wants that directory: a /run of its own holds it, and nothing else changes
		prefix+=(unshare -m sh -c "mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec \"\$@\"" sh)
	fi
	"${prefix[@]}" "$daemon" -t -f sshd.conf >check 2>&1 || {
		REASON="sshd cannot be run here: $(head -n 1 check)"
		return 1
	}
	start_bg sshd "${prefix[@]}" "$daemon" -D -e -f "$PWD/sshd.conf"
	wait_for sshd_settled
	! gone sshd || {
		REASON="sshd cannot be run here: $(tail -n 1 sshd.err)"
		return 1
	}
	# a login that is not possible here for reasons of its own says nothing of tcptool
	"${NET[@]}" ssh -F ssh.conf -p "$1" 127.0.0.1 true </dev/null >direct 2>&1 3>&- || {
		REASON="ssh does not get in even without tcptool: $(tail -n 1 direct)"
		return 1
	}
}

sshd_settled() {
	gone sshd || grep -q '^Server listening on ' sshd.err
}

# my_ssh WORD...: ssh to it by way of tcptool.
my_ssh() {
	ssh -F ssh.conf -o ProxyCommand="$TCPTOOL connect ${CONNECT-} %h %p" -p "$PORT" "$@"
}

@test "tcptool-recipes(7), 'Send a file': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Send a file'
}

@test "tcptool-recipes(7), 'Send a directory': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Send a directory'
}

@test "tcptool-recipes(7), 'Ask and answer': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Ask and answer'
}

@test "tcptool-recipes(7), 'Watch a transfer': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Watch a transfer'
}

@test "tcptool-recipes(7), 'Receive from one sender after another': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Receive from one sender after another'
}

@test "tcptool-recipes(7), 'Serve a program': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Serve a program'
}

@test "tcptool-recipes(7), 'Make a service of a line of shell': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Make a service of a line of shell'
}

@test "tcptool-recipes(7), 'Serve a git repository': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Serve a git repository'
}

@test "tcptool-recipes(7), 'Serve files with rsync': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Serve files with rsync'
}

@test "tcptool-recipes(7), 'Start a listener in a script': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Start a listener in a script'
}

@test "tcptool-recipes(7), 'Wait for a service': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Wait for a service'
}

@test "tcptool-recipes(7), 'Connect ssh through tcptool': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Connect ssh through tcptool'
}

@test "tcptool-recipes(7), 'Set time limits': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Set time limits'
}

@test "tcptool-recipes(7), 'Forward a port': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Forward a port'
}

@test "tcptool-recipes(7), 'See whether a port is open': what is typed prints what is shown" {
	as_shown "$RECIPES" 'See whether a port is open'
}

@test "tcptool-recipes(7), 'See whether a service answers as it should': what is typed prints what is shown" {
	as_shown "$RECIPES" 'See whether a service answers as it should'
}

@test "tcptool-recipes(7), 'Speak a protocol by hand': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Speak a protocol by hand'
}

@test "tcptool-recipes(7), 'Record a session for Wireshark': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Record a session for Wireshark'
}

@test "tcptool-recipes(7), 'Be a slow client': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Be a slow client'
}

@test "tcptool-recipes(7), 'Exchange a greeting': what is typed prints what is shown" {
	as_shown "$RECIPES" 'Exchange a greeting'
}

@test "tcptool-recipes(7): every section with examples has a test here" {
	all_examples_have_tests "$RECIPES"
}

@test "tcptool-recipes(7): every option that it names is in --help" {
	returns 0 "$TCPTOOL" listen --help
	mv out help
	returns 0 "$TCPTOOL" connect --help
	cat out >>help
	grep -oE '^\.Fl [^ ]+' "$RECIPES" | mdoc_text | sed 's/^\.Fl /-/; s/^-\(.\)$/ -\1,/' | sort -u >named
	[ -s named ]
	while IFS= read -r option; do
		grep -q -e "$option\(\>\|\$\| \)" help || {
			echo "$option"
			return 1
		}
	done <named
}

@test "git: clone and fetch from git daemon --inetd, several at the same time" {
	need git
	git daemon --help >/dev/null 2>&1 || [ -x "$(git --exec-path)/git-daemon" ] || skip "no git daemon"
	make_project
	HOME=$PWD GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' \
		listen_bg tool -k 127.0.0.1 0 -- git daemon --inetd --export-all --base-path="$PWD"
	for i in 1 2 3; do
		HOME=$PWD start_bg "clone$i" git clone -q "git://127.0.0.1:$PORT/project" "copy$i"
	done
	for i in 1 2 3; do
		ends 0 "clone$i"
		diff -r project/files "copy$i/files"
		[ "$(lonely_git -C "copy$i" rev-parse HEAD)" = "$(lonely_git -C project rev-parse HEAD)" ]
	done
	lonely_git -C project commit -q --allow-empty -m third
	HOME=$PWD returns 0 git -C copy1 fetch -q
	[ "$(lonely_git -C copy1 log -1 --format=%s origin/HEAD)" = third ]
	# what is not there is git's own message, and no end of the service
	HOME=$PWD returns 128 git clone -q "git://127.0.0.1:$PORT/nothing" copy4
	HOME=$PWD returns 0 git ls-remote -q "git://127.0.0.1:$PORT/project"
}

@test "git: the same through a forwarder" {
	need git
	git daemon --help >/dev/null 2>&1 || [ -x "$(git --exec-path)/git-daemon" ] || skip "no git daemon"
	make_project
	HOME=$PWD GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' \
		listen_bg tool -k 127.0.0.1 0 -- git daemon --inetd --export-all --base-path="$PWD"
	listen_bg forward -k --forward="127.0.0.1:$PORT" 127.0.0.1 0
	HOME=$PWD returns 0 git clone -q "git://127.0.0.1:$PORT/project" copy
	diff -r project/files copy/files
	wait_for holds forward.err ''
}

@test "rsync: a tree to a daemon and back" {
	need rsync
	tree tree
	mkdir store
	printf '%s\n' 'use chroot = no' '[store]' "path = $PWD/store" 'read only = no' >rsyncd.conf
	# as root the daemon would become nobody
	[ "$(id -u)" -ne 0 ] || printf '%s\n' 'uid = 0' 'gid = 0' >>rsyncd.conf
	listen_bg tool -k 127.0.0.1 0 -- rsync --daemon --config="$PWD/rsyncd.conf"
	returns 0 rsync -a tree/ "rsync://127.0.0.1:$PORT/store/"
	diff -r tree store
	[ -x store/run ]
	returns 0 rsync -a "rsync://127.0.0.1:$PORT/store/" back/
	diff -r tree back
	# only what has changed
	echo changed >>store/deep/text
	returns 0 rsync -ai "rsync://127.0.0.1:$PORT/store/" back/
	grep -q 'deep/text$' out
	fails grep -q large out
	diff -r store back
}

@test "ssh: by ProxyCommand, statuses and 4 MiB each way" {
	PORT=$("$HELPERS/peer" free)
	sshd_bg "$PORT" || skip "$REASON"
	random sent 4194304
	export -f my_ssh
	export PORT
	returns 0 bash -c 'my_ssh 127.0.0.1 echo hello' </dev/null
	holds out 'hello\n'
	returns 42 bash -c 'my_ssh 127.0.0.1 exit 42' </dev/null
	returns 0 bash -c 'my_ssh 127.0.0.1 cat' <sent
	cmp sent out
	# options, too
	CONNECT='--retry=5 -w 5' returns 0 bash -c 'my_ssh 127.0.0.1 echo again' </dev/null
	holds out 'again\n'
	# through a forwarder
	listen_bg forward -k --forward="127.0.0.1:$PORT" 127.0.0.1 0
	returns 0 bash -c 'my_ssh 127.0.0.1 cat' <sent
	cmp sent out
}

@test "ssh: where nothing listens, tcptool says so and ssh fails" {
	need ssh
	PORT=$("$HELPERS/peer" free)
	echo 'BatchMode yes' >ssh.conf
	export -f my_ssh
	export PORT
	returns 255 bash -c 'my_ssh 127.0.0.1 true' </dev/null
	grep -q '^tcptool: connect to 127.0.0.1 port .*: Connection refused' err
}

# http_bg: a web server of one line of shell: the request's first line is what it answers.
http_bg() {
	listen_bg http -k 127.0.0.1 0 -c '
		read -r request
		while read -r line && [ "$line" != "$(printf "\r")" ]; do :; done
		request=$(printf %s "$request" | tr -d "\r")
		case $request in
		*/large*) length=$(wc -c <large) ;;
		*) length=$((${#request} + 1)) ;;
		esac
		printf "HTTP/1.1 200 OK\r\nContent-Length: %s\r\nConnection: close\r\n\r\n" "$length"
		case $request in
		*/large*) cat large ;;
		*) printf "%s\n" "$request" ;;
		esac'
}

# my_curl WORD...: curl, whatever proxies this machine has.
my_curl() {
	returns 0 curl -q --noproxy '*' -sSf --max-time 10 "$@"
}

@test "curl: a web server made of -c, alone and behind listen -F" {
	need curl
	random large 4194304
	http_bg
	my_curl "http://127.0.0.1:$PORT/one"
	holds out 'GET /one HTTP/1.1\n'
	my_curl "http://127.0.0.1:$PORT/large"
	cmp large out
	listen_bg forward -k -F "127.0.0.1:$PORT" 127.0.0.1 0
	my_curl -d some=data "http://127.0.0.1:$PORT/two"
	holds out 'POST /two HTTP/1.1\n'
	my_curl "http://127.0.0.1:$PORT/large"
	cmp large out
	# several at the same time
	for i in 1 2 3 4; do
		start_bg "curl$i" curl -q --noproxy '*' -sSf --max-time 10 "http://127.0.0.1:$PORT/large?$i"
	done
	for i in 1 2 3 4; do
		ends 0 "curl$i"
		cmp large "curl$i.out"
	done
	holds http.err ''
}

@test "wait for a service that is just starting, then run a command" {
	port=$("$HELPERS/peer" free)
	start_bg waiter "$TCPTOOL" connect -z --quiet --retry=10 127.0.0.1 "$port" -- touch up
	stays 100 waiter
	[ ! -e up ]
	listen_bg service -k 127.0.0.1 "$port" -- cat
	ends 0 waiter
	[ -e up ]
	# one that never comes: the command is not run
	port=$("$HELPERS/peer" free)
	returns 4 "$TCPTOOL" connect -z --quiet --retry=300ms 127.0.0.1 "$port" -- touch never
	[ ! -e never ]
}

@test "wait for several services" {
	first=$("$HELPERS/peer" free)
	listen_bg second -k 127.0.0.1 0 -- cat
	start_bg waiter "$TCPTOOL" connect -z --quiet --retry=10 "127.0.0.1:$first" "127.0.0.1:$PORT" -- touch up
	stays 100 waiter
	[ ! -e up ]
	listen_bg first -k 127.0.0.1 "$first" -- cat
	ends 0 waiter
	[ -e up ]
}

@test "an echo server" {
	random sent 1048576
	listen_bg echo -k 127.0.0.1 0 -- cat
	for i in 1 2 3 4; do
		IN=sent start_bg "c$i" "$TCPTOOL" connect 127.0.0.1 "$PORT"
	done
	for i in 1 2 3 4; do
		ends 0 "c$i"
		cmp sent "c$i.out"
	done
}
