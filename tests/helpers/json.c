/*
 * Reads JSON lines (RFC 8259, one value a line) from stdin and tells whether they are what they should be:
 *
 *     json check            each line is one object, in UTF-8, and nothing else
 *     json get KEY...       prints the member at that path of each line: strings as they are (ASCII)
 *     json schema FILE      each line is valid against the JSON Schema in FILE
 *
 * Of JSON Schema it knows what check_keyword() lists; any other keyword is an error, so that no schema is
 * only half looked at. Exits 1, with a line on stderr, at the first line that is wrong.
 */
#include "helper.h"

enum kind { NOTHING, TRUTH, NUMBER, STRING, ARRAY, OBJECT };

static const char *const kind_names[] = {"null", "boolean", "number", "string", "array", "object"};

struct value {
	enum kind kind;
	double number;       /* of a number; 0 or 1 of a truth value */
	char *text;          /* of a string */
	char *key;           /* as a member of an object */
	struct value *first; /* of an array or object */
	struct value *next;  /* behind this one in there */
};

static const char *at; /* what is parsed next */
static int line_number;

static void __attribute__((noreturn, format(printf, 1, 2))) wrong(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "json: line %d: ", line_number);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* --- reading --- */

static struct value *parse(void);

static void skip_space(void)
{
	at += strspn(at, " \t\r\n");
}

static void need(char c)
{
	skip_space();
	if (*at != c)
		wrong("'%c' expected at: %.40s", c, at);
	at++;
}

static unsigned hex4(void)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++, at++) {
		const char *digits = "0123456789abcdef", *d = *at ? strchr(digits, *at | 32) : NULL;

		if (!d)
			wrong("four hexadecimal digits expected at: %.40s", at);
		v = v * 16 + (unsigned)(d - digits);
	}
	return v;
}

/* One escape sequence; what is no byte of Latin-1 becomes '?'. */
static char parse_escape(void)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *name = *at ? strchr(names, *at) : NULL;
	unsigned code;

	if (name) {
		at++;
		return bytes[name - names];
	}
	if (*at++ != 'u')
		wrong("no such escape: \\%.10s", at - 1);
	code = hex4();
	return code > 0 && code < 256 ? (char)code : '?';
}

static char *parse_string(void)
{
	char *text, *out;

	need('"');
	text = out = malloc(strlen(at) + 1);
	while (*at != '"') {
		unsigned char c = (unsigned char)*at++;

		if (c < ' ' || c > '~')
			wrong("byte %u in a string", c);
		*out++ = c == '\\' ? parse_escape() : (char)c;
	}
	at++;
	*out = '\0';
	return text;
}

/* A number as JSON writes it: no leading zero, no plus sign. */
static double parse_number(void)
{
	const char *p = at + (*at == '-');
	char *end;
	double v;

	if (p[0] == '0' && p[1] >= '0' && p[1] <= '9')
		wrong("leading zero at: %.40s", at);
	if (*p < '0' || *p > '9')
		wrong("a value expected at: %.40s", at);
	v = strtod(at, &end);
	if (strspn(at, "-+0123456789.eE") < (size_t)(end - at))
		wrong("no JSON number at: %.40s", at);
	at = end;
	return v;
}

static void parse_members(struct value *v, char close)
{
	struct value **last = &v->first;

	skip_space();
	if (*at == close) {
		at++;
		return;
	}
	for (;;) {
		char *key = NULL;

		if (close == '}') {
			key = parse_string();
			for (struct value *i = v->first; i; i = i->next)
				if (strcmp(i->key, key) == 0)
					wrong("member \"%s\" twice", key);
			need(':');
		}
		*last = parse();
		(*last)->key = key;
		last = &(*last)->next;
		skip_space();
		if (*at == close)
			break;
		need(',');
	}
	at++;
}

static bool word(const char *w)
{
	size_t n = strlen(w);

	if (strncmp(at, w, n) != 0)
		return false;
	at += n;
	return true;
}

static struct value *parse(void)
{
	struct value *v = calloc(1, sizeof *v);

	skip_space();
	if (*at == '{' || *at == '[') {
		char close = *at++ == '{' ? '}' : ']';

		v->kind = close == '}' ? OBJECT : ARRAY;
		parse_members(v, close);
	} else if (*at == '"') {
		v->kind = STRING;
		v->text = parse_string();
	} else if (word("true") || word("false")) {
		v->kind = TRUTH;
		v->number = at[-2] == 'u';
	} else if (!word("null")) {
		v->kind = NUMBER;
		v->number = parse_number();
	}
	return v;
}

static struct value *parse_all(const char *text)
{
	struct value *v;

	at = text;
	v = parse();
	skip_space();
	if (*at)
		wrong("more behind the value: %.40s", at);
	return v;
}

static void drop(struct value *v)
{
	while (v) {
		struct value *next = v->next;

		drop(v->first);
		free(v->text);
		free(v->key);
		free(v);
		v = next;
	}
}

static struct value *member(const struct value *v, const char *key)
{
	struct value *i = v && v->kind == OBJECT ? v->first : NULL;

	while (i && strcmp(i->key, key) != 0)
		i = i->next;
	return i;
}

/* --- a schema --- */

static struct value *schema_root;
static char why[200]; /* what was found wrong last */

static bool validate(const struct value *v, const struct value *schema, const char *where);

static bool __attribute__((format(printf, 1, 2))) bad(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	return false;
}

static bool is_of_type(const struct value *v, const char *type)
{
	if (strcmp(type, "integer") == 0)
		return v->kind == NUMBER && v->number == (double)(long long)v->number;
	return strcmp(type, kind_names[v->kind]) == 0;
}

static bool check_type(const struct value *v, const struct value *type, const char *where)
{
	if (type->kind == STRING)
		return is_of_type(v, type->text) || bad("%s is no %s", where, type->text);
	for (const struct value *i = type->first; i; i = i->next)
		if (is_of_type(v, i->text))
			return true;
	return bad("%s is of none of its types", where);
}

static bool same(const struct value *a, const struct value *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == STRING ? strcmp(a->text, b->text) == 0 : a->number == b->number;
}

static bool check_enum(const struct value *v, const struct value *list, const char *where)
{
	for (const struct value *i = list->first; i; i = i->next)
		if (same(v, i))
			return true;
	return bad("%s: '%s' is none of its values", where, v->text ? v->text : "?");
}

static bool check_any(const struct value *v, const struct value *list, const char *where)
{
	for (const struct value *i = list->first; i; i = i->next)
		if (validate(v, i, where))
			return true;
	return false;
}

static bool check_required(const struct value *v, const struct value *list, const char *where)
{
	for (const struct value *i = list->first; i; i = i->next)
		if (v->kind == OBJECT && !member(v, i->text))
			return bad("%s lacks \"%s\"", where, i->text);
	return true;
}

static bool check_dependent(const struct value *v, const struct value *all, const char *where)
{
	for (const struct value *i = all->first; i; i = i->next)
		if (member(v, i->key) && !check_required(v, i, where))
			return false;
	return true;
}

static bool check_properties(const struct value *v, const struct value *known)
{
	for (const struct value *i = v->kind == OBJECT ? v->first : NULL; i; i = i->next) {
		const struct value *s = member(known, i->key);

		if (s && !validate(i, s, i->key))
			return false;
	}
	return true;
}

static bool check_additional(const struct value *v, const struct value *schema, const struct value *more)
{
	for (const struct value *i = v->kind == OBJECT ? v->first : NULL; i; i = i->next)
		if (!member(member(schema, "properties"), i->key) && !validate(i, more, i->key))
			return false;
	return true;
}

static bool check_items(const struct value *v, const struct value *each, const char *where)
{
	for (const struct value *i = v->kind == ARRAY ? v->first : NULL; i; i = i->next)
		if (!validate(i, each, where))
			return false;
	return true;
}

static bool check_condition(const struct value *v, const struct value *schema, const char *where)
{
	const struct value *next = member(schema, validate(v, member(schema, "if"), where) ? "then" : "else");

	return !next || validate(v, next, where);
}

/* "#/a/b": the value at that path of the schema. */
static const struct value *follow(const char *ref)
{
	char path[200], *rest = path, *part;
	const struct value *found = schema_root;

	snprintf(path, sizeof path, "%s", ref);
	part = strsep(&rest, "/");
	if (strcmp(part, "#") != 0)
		die("json: schema: what is %s?", ref);
	while ((part = strsep(&rest, "/")))
		found = member(found, part);
	if (!found)
		die("json: schema: there is no %s", ref);
	return found;
}

static bool check_keyword(const struct value *v, const struct value *schema, const struct value *k,
			  const char *where)
{
	static const char *const silent[] = {"$schema",     "$id",  "$defs", "title",
					     "description", "then", "else", "format"};

	for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
		if (strcmp(k->key, silent[i]) == 0)
			return true;
	if (strcmp(k->key, "type") == 0)
		return check_type(v, k, where);
	if (strcmp(k->key, "enum") == 0)
		return check_enum(v, k, where);
	if (strcmp(k->key, "const") == 0)
		return same(v, k) || bad("%s is not what it has to be", where);
	if (strcmp(k->key, "minimum") == 0)
		return v->kind != NUMBER || v->number >= k->number || bad("%s is below %g", where, k->number);
	if (strcmp(k->key, "maximum") == 0)
		return v->kind != NUMBER || v->number <= k->number || bad("%s is above %g", where, k->number);
	if (strcmp(k->key, "minLength") == 0)
		return v->kind != STRING || strlen(v->text) >= k->number || bad("%s is too short", where);
	if (strcmp(k->key, "anyOf") == 0)
		return check_any(v, k, where);
	if (strcmp(k->key, "required") == 0)
		return check_required(v, k, where);
	if (strcmp(k->key, "dependentRequired") == 0)
		return check_dependent(v, k, where);
	if (strcmp(k->key, "properties") == 0)
		return check_properties(v, k);
	if (strcmp(k->key, "additionalProperties") == 0)
		return check_additional(v, schema, k);
	if (strcmp(k->key, "items") == 0)
		return check_items(v, k, where);
	if (strcmp(k->key, "if") == 0)
		return check_condition(v, schema, where);
	if (strcmp(k->key, "$ref") == 0)
		return validate(v, follow(k->text), where);
	die("json: schema: the keyword %s is not known here", k->key);
}

static bool validate(const struct value *v, const struct value *schema, const char *where)
{
	if (schema->kind == TRUTH)
		return schema->number || bad("\"%s\" may not be there", where);
	for (const struct value *k = schema->first; k; k = k->next)
		if (!check_keyword(v, schema, k, where))
			return false;
	return true;
}

static void load_schema(const char *path)
{
	static char text[65536];
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		die("json: %s: %s", path, strerror(errno));
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	schema_root = parse_all(text);
}

/* --- what is asked --- */

static void print(const struct value *v)
{
	if (!v)
		puts("-");
	else if (v->kind == STRING)
		puts(v->text);
	else if (v->kind == NUMBER)
		printf("%.15g\n", v->number);
	else
		puts(v->kind == TRUTH ? (v->number ? "true" : "false") : kind_names[v->kind]);
}

static void look_at(const struct value *v, int argc, char **argv)
{
	if (v->kind != OBJECT)
		wrong("no object");
	if (strcmp(argv[1], "get") == 0) {
		for (int i = 2; i < argc; i++)
			v = member(v, argv[i]);
		print(v);
	} else if (schema_root && !validate(v, schema_root, "the object")) {
		wrong("%s", why);
	}
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (argc < 2)
		die("json: check, get or schema?");
	if (strcmp(argv[1], "schema") == 0 && argc == 3)
		load_schema(argv[2]);
	while ((n = getline(&line, &size, stdin)) > 0) {
		struct value *v;

		line_number++;
		if (line[n - 1] != '\n' || strlen(line) != (size_t)n)
			wrong("not a line of text");
		v = parse_all(line);
		look_at(v, argc, argv);
		drop(v);
	}
	if (line_number == 0)
		wrong("nothing there");
	free(line);
	drop(schema_root);
	return 0;
}
