"""What the offline model knows about conversations in general, before any package's hints."""

from collections.abc import Sequence

from holdfast.contract.hints import Hints, ToolHint

GREETING = (
    r"^\W*(hi|hello|hey|good (morning|afternoon|evening)|greetings|hola|bonjour"
    r"|hallo|moin|servus|grüß gott|guten (morgen|tag|abend))"
    r"( there| again| all| team)?(\W+how are you( doing)?( today)?)?\W*$"
    r"|^\W*how are you( doing)?( today)?\W*$"
)
THANKS = (
    r"^\W*((ok|okay|great|perfect|super|wonderful|alright|cool|nice|many)\W+)*"
    r"(thanks|thank you|thx|cheers|appreciate it|(vielen |besten |herzlichen )?dank(e|eschön)?|merci"
    r"|gracias)\b[^?]{0,40}$"
)
FAREWELL = (
    r"\b(bye|goodbye|see you|that'?s all|that is all|nothing else"
    r"|tschüss|auf wiedersehen|das war'?s|das war alles|das ist alles)\b"
)
IDENTITY = (
    r"\b(who|what) (are|r) (you|u)\b|\bare you (a |an )?(bot|robot|human|person|real|ai|machine|model)"
    r"|\b(which|what) (language )?model\b|\byour name\b"
    r"|\bwer (bist du|sind sie)\b|\b(bist du|sind sie) (ein |eine )?(bot|roboter|mensch|maschine|ki)\b"
)
ABILITIES = (
    r"\bwhat (can|do) you (do|offer|help)|\b(can|could) you help( me)?\W*$|\bhelp\W*$"
    r"|\bwas (kannst du|können sie)\b[^.?!]*\b(tun|machen|helfen)\b|\bhilfe\W*$"
)
ELSEWHERE = r"\b(weather|joke|poem|song|news|football|politics|recipe|translate|capital of)\b"
PERSON = (
    r"\b(talk|speak|chat|connect|transfer|get|hand|put|pass|want|need)\b[^.?!]*"
    r"\b(human|person|representative|supervisor|manager|someone real|real agent|live agent)\b"
    r"|\b(mit|an|zu) (einem|einer|einen|eine|jemandem|jemanden)\b[^.?!]{0,40}"
    r"\b(sprechen|spreche|reden|rede|verbinden|weiterleiten|wenden)\b"
    r"|\bverbinde(n sie)? mich\b|\b(brauche|will|möchte) (mit )?(einen|einem) (echten )?menschen\b"
)

BUILTIN = Hints(
    intents={
        "general": (GREETING, THANKS, FAREWELL, IDENTITY, ABILITIES, ELSEWHERE),
        "knowledge": (
            r"\bhow (long|many days|much time|do i|does|can i|soon|often)\b",
            r"\b(policy|policies|rules?|guarantee|warranty|terms|allowed to|opening hours)\b",
            r"^\W*(do|does|why|who(?! are)|what (do|does)(?! you))\b(?!.*(\bmy\b|\d{4}))",
            r"\bis (it|there) (possible|allowed|a fee)\b",
            r"\b(what happens if|what if|what is your|what are your|which [\w ]+ do you)\b",
            r"\bwie (lange|viele tage|oft|schnell|kann ich|funktioniert)\b",
            r"\b(richtlinien?|garantie|gewährleistung|rückgaberecht|bedingungen|öffnungszeiten)\b",
            r"\b(was passiert,? wenn|ist es (möglich|erlaubt)|darf ich)\b",
        ),
        "person": (PERSON, r"\b(real person|human being|human agent|a human)\b"),
    },
    fields={
        "priority": {
            r"\b(emergency|urgent(ly)?|fraud|stolen|hacked|unauthori[sz]ed|lawyer|asap"
            r"|notfall|dringend|betrug|gestohlen|gehackt|anwalt|anwältin)\b": "urgent",
            r"\b(angry|furious|unacceptable|complaint|terrible|third time|still (not|no)|right now|"
            r"immediately|today|wütend|unverschämt|beschwerde|zum dritten mal|immer noch (nicht|kein)|"
            r"sofort)\b": "high",
            r"\b(no (hurry|rush)|whenever|just curious)\b": "low",
            r"": "normal",
        }
    },
)


def merged(hints: Sequence[Hints]) -> Hints:
    """The built-in hints and those of packages as one; expressions for the same name add up."""
    intents: dict[str, tuple[str, ...]] = {}
    fields: dict[str, dict[str, str]] = {}
    tools: dict[str, ToolHint] = {}
    errors: dict[str, str] = {}
    for one in (*hints, BUILTIN):
        for agent, expressions in one.intents.items():
            intents[agent] = (*intents.get(agent, ()), *expressions)
        for field, values in one.fields.items():
            fields[field] = {**fields.get(field, {}), **values}
        tools.update(one.tools)
        errors.update(one.errors)
    return Hints(intents=intents, fields=fields, tools=tools, errors=errors)
