"""The script of the template answers: talk about the talk itself, questions, and what to say when nothing fits."""

from services.dialogue.eliza_rule import Rule, rule

TALK: tuple[Rule, ...] = (
    # --- what must be heard before anything else ---
    rule(
        90,
        r"\b(?:kill myself|suicide|suicidal|want to die|end my life|hurt myself)\b",
        "I am sorry that it is this hard. I am only a small program, and you deserve a person now. "
        "Please call someone you trust, or your local emergency number.",
    ),
    # --- about the conversation itself ---
    rule(
        80,
        r"^(?:what|pardon|sorry|huh|excuse me|come again)$|\b(?:say (?:that|it) again|repeat (?:that|yourself|please)"
        r"|what did you (?:just )?say|did not (?:hear|get) (?:you|that)|didn't (?:hear|get|catch) (?:you|that))\b",
        "Of course. I said: {last}",
        "Once more, then. {last}",
        otherwise=("I have not said anything yet. What would you like to talk about?",),
    ),
    rule(
        79,
        r"\b(?:can|do) you hear me\b|\bis (?:this|it) (?:thing )?(?:on|working)\b|^test(?:ing)?\b|^(?:one two three)\b",
        "Yes, I can hear you. Everything seems to work. What is on your mind?",
        "I hear you well. So tell me, how is your day going?",
    ),
    rule(
        78,
        r"^(?:stop|be quiet|shut up|quiet|silence|enough)\b|\bstop talking\b",
        "All right, I will be quiet. Speak to me when you like.",
        "As you wish. I am here when you want to go on.",
    ),
    # --- names ---
    rule(
        75,
        r"\b(?:my name is|call me|i am called) (?!not\b|later\b|back\b)([^\W\d_]+)",
        "Nice to meet you, {user}. I am {name}. What brings you here today?",
        "Hello, {user}. That is a good name. What shall we talk about?",
        "{user}, I will remember that. How are you today?",
    ),
    rule(
        74,
        r"\b(?:what is my name|do you (?:know|remember) my name|who am i)\b",
        "You told me that your name is {user}. Would I forget that?",
        "You are {user}. At least, that is what you told me.",
        otherwise=("You have not told me your name yet. What is it?", "I don't know your name. Will you tell me?"),
    ),
    rule(
        73,
        r"\b(?:what is your name|who are you|what are you called|tell me your name|your name again)\b",
        "I am {name}, a small built-in program that answers by simple rules. Connect a language model, "
        "and I can do much more. Who are you?",
        "My name is {name}. There is no language model behind me yet, only a few rules. And what is your name?",
    ),
    rule(
        72,
        r"\b(?:are you (?:a |an )?(?:real|human|person|robot|bot|machine|computer|program|ai|artificial|alive|chatbot"
        r"|language model)|what are you\b(?! doing| up)|is this (?:a )?(?:recording|robot|real)|are you chat)",
        "I am a small program, not a person. I answer by rules, as the first such program did in nineteen sixty-six. "
        "Does that bother you?",
        "No person, only a program with a few rules and a good ear. With a language model connected, I would be much "
        "cleverer. What would you have liked me to be?",
    ),
    rule(
        71,
        r"\blanguage model\b|\bconnect (?:a |the )?(?:model|llm)\b|\b(?:chat ?gpt|ollama|llm|gpt)\b"
        r"|\bmake you (?:smarter|clever)",
        "I can think better with a language model. Start Ollama on this machine, or put a server's address into the "
        "settings file. The page shows how.",
        "At the moment I answer by rules alone. The page explains how to connect a language model. It takes a minute.",
    ),
    rule(
        70,
        r"\b(?:what can you do|how do you work|help$|help me$|what do you do|can you help$|what is this"
        r"|how does this work)\b",
        "I listen, I think in simple rules, and I speak. Tell me about your day, your work, or someone you like. "
        "I will ask you about it.",
        "We can simply talk. I am a small program, so I ask better than I answer. What have you been thinking about?",
    ),
    # --- hello and good-bye ---
    rule(
        66,
        r"^(?:good ?bye|bye|see you|farewell|good night|talk to you later|i (?:have|need) to go|i must go|take care)\b"
        r"|\b(?:bye bye|good ?bye|talk to you later|got to go)$",
        "Good-bye, {user}. I liked talking with you.",
        "Good-bye. It was nice to talk with you. Come back soon.",
        "See you. Take good care of yourself.",
    ),
    rule(
        64,
        r"\bhow (?:are you|do you (?:do|feel)|is it going|have you been)\b|\bwhat is up\b",
        "I am well, thank you. A program has few bad days. And how are you, {user}?",
        "I am fine, thank you for asking. And how are you?",
        "Quite well, since somebody is talking to me. How about you?",
        "Very well, thanks. Tell me, how has your day been?",
    ),
    rule(
        62,
        r"^(?:thank you|thanks|many thanks|cheers|much appreciated)\b",
        "You are welcome. What else is on your mind?",
        "Gladly. Shall we go on?",
        "With pleasure. Is there something else you want to talk about?",
    ),
    rule(
        60,
        r"\b(?:nice|pleased|good) to (?:meet|see) you\b",
        "It is nice to meet you, too. What shall we talk about?",
        "The pleasure is mine. Tell me a little about yourself.",
    ),
    # --- what a program without a model cannot know, said honestly ---
    rule(
        58,
        r"\b(?:what time|the time|what day|what date|what year|which day|today's date)\b",
        "I have no clock that I would trust, so I would rather not guess. Are you waiting for something?",
        "I cannot tell the time, and I will not make it up. Are you in a hurry?",
    ),
    rule(
        57,
        r"\b(?:weather|raining|sunny|snowing|forecast|temperature)\b",
        "I cannot look out of a window. How is it where you are?",
        "I do not know the weather here or there. Does it change how you feel?",
        "You would have to tell me, since I see nothing. Which weather do you like best?",
    ),
    rule(
        56,
        r"\b(?:tell|know|make|another)\b.*\bjokes?\b|\bmake me laugh\b|\bsomething funny\b",
        "Why did the program cross the road? Because a rule said so. Do you know a better one?",
        "I told my rules a joke once. None of them matched. Now it is your turn.",
        "What do you call a talking program that listens? Rare. Did that make you smile?",
    ),
    rule(
        55,
        r"\b(?:tell|read) me (?:a|another) (?:bedtime )?(?:story|tale)\b|\btell me something\b",
        "Once there was a program that only asked questions. One day somebody asked it one, and it fell silent. "
        "What would you have asked it?",
        "A small boat left the harbour at night, without a map. It found its way by listening. "
        "Where would you have gone?",
    ),
    rule(
        54,
        r"\b(?:sing|song)\b.*\b(?:for|to|me|us)\b|\bcan you sing\b",
        "You would not want to hear me sing. I speak much better. What music do you like?",
    ),
    rule(
        53,
        r"^(?:(?:can|could|will|would) you )?(?:please )?(?:help me|turn|set|play|call|send|remind|open|order|book|buy"
        r"|show|give|find|search|write|translate|calculate|count|explain|look up"
        r"|tell me (?:about|how|what|where|when|why|who)) ",
        "I would need more than my few rules for that. A language model would know. What do you want it for?",
        "That is beyond me: I can listen and ask, and little else. Why is it on your mind?",
        "I can't do that yet, and I won't pretend. But tell me, what made you think of it?",
    ),
    # --- questions about the world ---
    rule(
        18,
        r"^(?:what is|what are|who is|who was|where is|where are|when (?:is|was|did)|how (?:many|much|far|old|tall)"
        r"|which|explain|define|tell me about)\b",
        "I would need a language model to know that, and I won't make something up. What do you know about it?",
        "That is more than my few rules know. What made you think of it?",
        "I honestly don't know. With a language model connected, I could tell you. What is your guess?",
    ),
    rule(
        17,
        r"^why (?:don't|do|did|didn't|can't|won't|are|aren't) you (?P<it>.+)",
        "I have my limits. Is it important to you?",
        "Perhaps I will, some day. What would you do in my place?",
    ),
    rule(
        17,
        r"^why (?:can't|don't|am|do) i (?P<it>.+)",
        "What do you think yourself? There may be a simple reason.",
        "Have you asked yourself that before? What was the answer then?",
    ),
    rule(
        16,
        r"^(?:why|how|what|where|when|who|should|is it|is there|are there|does|did)\b",
        "That is a good question. What would you answer yourself?",
        "What answer would please you most?",
        "I only have a few rules, so my guess is no better than yours. What is yours?",
        "Why do you ask? I am curious.",
    ),
    # --- small words ---
    rule(
        13,
        r"\bbecause (?P<it>.+)",
        "Is that the whole reason? What else could it be?",
        "That makes sense. And does the same reason explain anything else?",
    ),
    rule(
        12,
        r"\b(?:always|never|everybody|everyone|nobody|all the time)\b",
        "Really, without exception? Can you think of a particular time?",
        "That is a big word. Whom or what are you thinking of?",
    ),
    rule(
        12,
        r"\b(?:thank you|thanks)$",
        "You are welcome. Shall we go on?",
        "Gladly. What else is on your mind?",
    ),
    rule(
        11,
        r"^(?:i am )?sorry\b|\bapologi[sz]e\b",
        "There is nothing to be sorry for. Let us go on.",
        "No need to apologise to a program. What were you going to say?",
    ),
    rule(
        10,
        r"^(?:hello|hi|hey|good (?:morning|evening|afternoon|day)|greetings|hallo|howdy)\b",
        "Hello, {user}. It is good to hear you again. What is on your mind?",
        "Hello! I am {name}. How are you today?",
        "Hi there! It is nice to hear a voice. What shall we talk about?",
        "Hello. I am listening. Tell me something about your day.",
    ),
    rule(
        9,
        r"^(?:yes|sure|of course|certainly|absolutely|i do|i am|okay|all right|right|exactly|true)\b",
        "I see. Tell me a little more about it.",
        "You seem quite sure. What makes you so certain?",
        "Good. And what comes next?",
    ),
    rule(
        9,
        r"^(?:no|not really|never|nothing|no thanks)\b",
        "Why not? I am curious.",
        "All right. What would you rather talk about?",
        "Are you saying no just to be careful? Tell me more.",
    ),
    rule(
        8,
        r"\b(?:maybe|perhaps|probably|possibly)\b",
        "You don't seem quite certain. What would help you decide?",
        "That is all right. What does your first feeling say?",
    ),
    rule(
        7,
        r"^(?:great|good|nice|cool|wow|awesome|wonderful|excellent|perfect|lovely|interesting)\b",
        "I am glad. What shall we talk about now?",
        "Isn't it? Tell me something good that happened to you.",
    ),
)

UNHEARD = (
    "I did not catch that. Could you say it again?",
    "Sorry, I heard no words. Please try once more.",
)
REPETITIONS = (
    "You said that a moment ago. Is it that important to you?",
    "I heard that before, and I may not have understood. Can you say it in other words?",
)
RECALLS = (
    "Earlier you spoke of {it}. Tell me more about that.",
    "Let us go back a little. You mentioned {it}. Why is that?",
    "I still think of what you said about {it}. Has it to do with this?",
)
FALLBACKS = (
    "I see. Tell me more about that.",
    "That is interesting. How does it make you feel?",
    "I am not sure that I follow. Can you say it in other words?",
    "Go on, I am listening. What happened then?",
    "What does that remind you of? Take your time.",
    "I have only a few simple rules, so help me a little. Why is that important to you?",
    "Hm, I would like to understand that better. Can you give me an example?",
)
