/* Runs a battery of TestU01 on the 32-bit words that it reads from standard input, in the byte order of the machine.
   usage: testu01 SmallCrush|Crush|Rabbit|Alphabit; prints the words read, then a p-value and a name on each line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <testu01/bbattery.h>
#include <testu01/swrite.h>
#include <testu01/unif01.h>

#define AT_ONCE (1 << 16)
#define BITS 4294967296.0 /* of Rabbit and Alphabit */

static unsigned int words[AT_ONCE];
static size_t next_word = AT_ONCE;
static unsigned long long count;

static unsigned int word(void)
{
    if (next_word == AT_ONCE) {
        if (fread(words, sizeof *words, AT_ONCE, stdin) != AT_ONCE) {
            fputs("testu01: too few words\n", stderr);
            exit(2);
        }
        next_word = 0;
    }
    count++;
    return words[next_word++];
}

int main(int argc, char **argv)
{
    unif01_Gen *generator = unif01_CreateExternGenBits("stdin", word);
    const char *battery = argc > 1 ? argv[1] : "";
    FILE *results = fdopen(dup(STDOUT_FILENO), "w");
    if (!results || !freopen("/dev/null", "w", stdout)) /* which TestU01 writes its own summary to */
        return 2;
    swrite_Basic = FALSE;
    if (!strcmp(battery, "SmallCrush"))
        bbattery_SmallCrush(generator);
    else if (!strcmp(battery, "Crush"))
        bbattery_Crush(generator);
    else if (!strcmp(battery, "Rabbit"))
        bbattery_Rabbit(generator, BITS);
    else if (!strcmp(battery, "Alphabit"))
        bbattery_Alphabit(generator, BITS, 0, 32);
    else
        return 2;
    fprintf(results, "%llu\n", count);
    for (int test = 0; test < bbattery_NTests; test++)
        fprintf(results, "%.17g %s\n", bbattery_pVal[test], bbattery_TestNames[test]);
    unif01_DeleteExternGenBits(generator);
    return fclose(results) != 0;
}
