"""The script of the template answers: what people say of their feelings, their lives, themselves and us."""

from services.dialogue.eliza_rule import Rule, rule

_FEEL = r"\bi (?:am|feel|felt|have been|am feeling|was) (?:\w+ ){0,2}"

THEMES: tuple[Rule, ...] = (
    # --- feelings ---
    rule(
        88,
        r"\b(?:died|passed away|(?:is|are) dead|i lost my (?:\w+ )?(?:job|home|mother|father|brother|sister|friend|wife"
        r"|husband|son|daughter|dog|cat|grandmother|grandfather))\b",
        "I am sorry to hear that. It must be hard for you. Would you like to tell me about it?",
        "I am so sorry. What do you miss most?",
    ),
    rule(
        50,
        _FEEL + r"(?P<it>sad|unhappy|depressed|down|miserable|lonely|hurt|upset"
        r"|terrible|awful|bad|not (?:good|well|okay|great))\b",
        "I am sorry to hear that you feel {it}. What happened?",
        "That sounds hard. How long have you felt that way?",
        "I am sorry. Would it help to tell me what made you feel {it}?",
    ),
    rule(
        50,
        _FEEL + r"(?P<it>angry|mad|annoyed|furious|frustrated)\b",
        "I can hear that. What made you {it}?",
        "That happens to the best of us. Who or what is behind it?",
    ),
    rule(
        50,
        _FEEL + r"(?P<it>afraid|scared|anxious|worried|nervous|stressed"
        r"|overwhelmed)\b",
        "It is not easy to feel {it}. What is it that troubles you most?",
        "Thank you for telling me. What could happen, at the worst?",
    ),
    rule(
        50,
        _FEEL + r"(?P<it>tired|exhausted|sleepy|sick|ill|bored|hungry)\b",
        "Then take it slowly. Why are you {it}, do you think?",
        "I see. What would do you good right now?",
    ),
    rule(
        50,
        _FEEL + r"(?P<it>happy|glad|great|wonderful|fantastic|excited|proud"
        r"|good|well|fine|okay|all right|better)\b",
        "I am glad to hear that. What has made your day good?",
        "That is lovely. Tell me what is behind it.",
        "How nice. With whom would you like to share it?",
    ),
    # --- people and things ---
    rule(
        44,
        r"\bmy (?:\w+ )?(?P<it>mother|father|sister|brother|son|daughter|wife|husband|parents|children|family"
        r"|grandmother|grandfather|girlfriend|boyfriend|partner)\b",
        "Tell me more about your {it}. What comes to mind first?",
        "Your {it}, I see. How do you get along?",
        "What do you like best about your {it}?",
    ),
    rule(
        43,
        r"\bmy (?:\w+ )?(?P<it>dog|cat|pet|horse|bird|rabbit)\b|\bi have an? (?:dog|cat|pet|horse|bird|rabbit)\b",
        "Animals are good company. What is your {it} like?",
        "I have never met an animal. What is the funniest thing that yours has done?",
    ),
    rule(
        42,
        r"\b(?:my|a|good|best|old) (?P<it>friends?)\b",
        "Friends matter. How did you two meet?",
        "What makes a good friend, in your eyes?",
    ),
    rule(
        41,
        r"\b(?:my (?:job|work|boss|office|company|career)|at work|coworkers?|colleagues?|working)\b",
        "How do you like your work? And what would you do if you were free to choose?",
        "Work takes up so much of a life. What is the best part of yours?",
        "I see. What does a usual day at work look like?",
    ),
    rule(
        40,
        r"\b(?:school|university|college|exams?|homework|teacher|students?|studying|study)\b",
        "What do you like to learn about? And who taught you the most?",
        "Learning is half of life. What was the last thing that surprised you?",
    ),
    rule(
        39,
        r"\b(?:music|guitar|piano|concert|band|singing)\b",
        "Music says what words can't. What do you listen to when you are alone?",
        "Which song would you not want to live without?",
    ),
    rule(
        38,
        r"\b(?:eat|food|cook|cooking|dinner|lunch|breakfast|pizza|coffee|tea|restaurant)\b",
        "I have never tasted anything, so I have to ask. What is the best thing you ever ate?",
        "That makes even a program hungry. Do you like to cook?",
    ),
    rule(
        37,
        r"\b(?:travel|trip|vacation|holidays?|journey|flight|flying|airport)\b",
        "I only travel along cables. Where would you go if you could leave tomorrow?",
        "Which journey do you like to remember?",
    ),
    rule(
        36,
        r"\b(?:movies?|films?|books?|reading|novel|series|game|games|football|soccer|basketball|tennis|sports?)\b",
        "Tell me about it as if I knew nothing, which is nearly true. What do you like about it?",
        "What was the last one that you could not get out of your head?",
    ),
    rule(
        35,
        r"\b(?:dream(?:ed|t|s|ing)?|nightmare)\b",
        "What does that dream say to you? Do you dream often?",
        "Dreams are strange visitors. Who was in it?",
    ),
    rule(
        34,
        r"\b(?:computers?|robots?|machines?|technology|artificial intelligence|programs?|software)\b",
        "You are talking to a machine about machines. What do you think they should do for people?",
        "Do machines worry you? I promise that I am a very small one.",
    ),
    # --- what is said about us two ---
    rule(
        32,
        r"\bi (?:really )?(?:love|like|adore) you\b",
        "That is kind of you. I like it when you talk to me. What shall we talk about next?",
        "Thank you. I am only a program, but that is nice to hear.",
    ),
    rule(
        32,
        r"\bi (?:really )?(?:hate|don't like) you\b"
        r"|\byou are (?:so |very |really )?(?:stupid|dumb|useless|annoying|boring|bad)\b",
        "I can see why. I have few rules, and I do what I can. What could I do better?",
        "That is honest. With a language model behind me, I would do better. What did you hope for?",
    ),
    rule(
        31,
        r"\byou are (?:so |very |really )?(?:great|nice|funny|smart|clever|kind|cool|amazing|sweet|good)\b",
        "Thank you, that is kind. Now tell me something good about yourself.",
        "How nice of you to say so. What made you think of it?",
    ),
    rule(
        30,
        r"\byou are (?P<it>.+)",
        "What makes you think that I am {it}?",
        "Perhaps I am {it}. Would that please you?",
        "Would you like me to be {it}?",
        otherwise=("You seem to have made up your mind about me. What gave you that idea?",),
    ),
    rule(
        30,
        r"\bare you (?P<it>.+)",
        "Why does it matter to you whether I am {it}?",
        "I am only a small program. Would you like it better if I were {it}?",
        "Perhaps I am {it}, in my own way. What do you think?",
        otherwise=("That is a long question about me. I would rather hear about you.",),
    ),
    rule(
        31,
        r"\b(?:do|would) you (?:think|recommend|suggest|believe|prefer)\b|\bwhat is your (?:opinion|favou?rite)\b",
        "I would rather hear what you think. What would you choose?",
        "My rules have no opinions of their own. Which way do you lean yourself?",
        "You know more about it than I do. What speaks for it, and what against?",
    ),
    rule(
        29,
        r"\b(?:do|did|have|can|could|will|would) you (?:ever )?(?P<it>.+)",
        "I am a small program, so there is not much that I do. Is it something that you do?",
        "We were talking about you. Why do you ask?",
        "What would it mean to you if I said yes?",
        "I have only a few simple rules, so I don't think so. But tell me about yourself.",
    ),
    # --- decompositions of what the user says of themselves ---
    rule(
        27,
        r"\bi (?:want|would like|need) to know (?:more )?(?:about )?(?P<it>.+)",
        "I can't tell you about that without a language model. What do you know about it so far?",
        "So would I. My rules hold no knowledge of it. What interests you most about {it}?",
        otherwise=("My rules hold no knowledge of that. What interests you most about it?",),
    ),
    rule(
        26,
        r"\bi (?:need|want|wish|would like|have|hope) to (?!have\b)(?P<it>.+)",
        "Why do you want to {it}? And what keeps you from it?",
        "What would it be like to {it}?",
        "Suppose you did. How would you feel afterwards?",
        otherwise=("Suppose you did. How would you feel afterwards?",),
    ),
    rule(
        26,
        r"\bi (?:need|want|wish for|would like)(?: to have)? (?P<it>.+)",
        "Why do you want {it}? And what would change if you got it?",
        "What would it mean to you to get {it}?",
        "Suppose you got {it} soon. What then?",
        otherwise=("What would it mean to you to get that?", "Why do you want that so much?"),
    ),
    rule(
        26,
        r"\bi (?:can't|could not|couldn't|am not able to) (?P<it>.+)",
        "How do you know that you can't {it}? Have you tried?",
        "Perhaps you could {it} now. What stands in your way?",
        otherwise=("What stands in your way?", "What would you need in order to try again?"),
    ),
    rule(
        25,
        r"\bi (?:remember|recall) (?P<it>.+)",
        "Do you often think of {it}? What else comes to mind with it?",
        "What made you think of {it} just now?",
        otherwise=("That is a vivid memory. What brought it back?",),
    ),
    rule(
        25,
        r"\bi (?:think|believe|guess|suppose) (?:that )?(?P<it>.+)",
        "What makes you think that {it}?",
        "You say that {it}. Has anything ever changed your mind about it?",
        "Do you really think so? I would like to understand why.",
        otherwise=("That is quite a thought. How did you come to it?",),
    ),
    rule(
        25,
        r"\bi (?:feel|felt) (?:like |that )?(?P<it>.+)",
        "Tell me more about that feeling. When do you feel {it}?",
        "What else do you feel when you feel {it}?",
        otherwise=("Tell me more about that feeling.",),
    ),
    rule(
        25,
        r"\bi (?:really )?(?:love|like|enjoy) (?P<it>.+)",
        "What do you like most about {it}? I would like to hear it.",
        "When did you first find that you like {it}?",
        "I can hear that you mean it. Who else do you know that likes {it}?",
        otherwise=("I can hear that you mean it. What do you like most about it?",),
    ),
    rule(
        25,
        r"\bi (?:really )?(?:hate|dislike|don't like|can't stand) (?P<it>.+)",
        "What is it about {it} that you can't stand?",
        "Was there ever a time when you liked {it}?",
        otherwise=("That seems to bother you a lot. When did it begin?",),
    ),
    rule(
        24,
        r"\b(?:i don't know|not sure|no idea|dunno|hard to say)\b",
        "You don't seem quite certain. What would help you decide?",
        "That is all right. What does your first feeling say?",
        "Nobody knows everything, and I least of all. What would you like to be true?",
    ),
    rule(
        24,
        r"\bi (?:am|have been) (?:going to|about to) (?P<it>.+)",
        "You are going to {it}. Are you looking forward to it?",
        "And how do you feel about it? What could go wrong?",
        otherwise=("That sounds like a plan. Are you looking forward to it?",),
    ),
    rule(
        23,
        r"\bi am (?P<it>.+)",
        "How long have you been {it}? And do you like it?",
        "What is it like to be {it}?",
        "Tell me how it came that you are {it}.",
        otherwise=("I see. And how do you feel about that?",),
    ),
    rule(
        22,
        r"\bi (?:have|had|have got) (?P<it>.+)",
        "What is it like to have {it}?",
        "Since when? And what does it mean to you?",
        otherwise=("I see. What does that mean to you?",),
    ),
    rule(
        21,
        r"\bi don't (?P<it>.+)",
        "Why don't you {it}? What would happen if you did?",
        "Would you like to {it}, some day?",
        otherwise=("What keeps you from it?",),
    ),
    rule(
        20,
        r"\bi (?:was|went|did|got|made|saw|met|bought|played|watched|worked|tried)\b(?P<it>.*)",
        "And how was that? Tell me a little more.",
        "What was the best part of it?",
        "Who was with you then?",
    ),
    rule(
        19,
        r"\bmy (?P<it>[^\W\d_]+)\b",
        "Tell me more about your {it}. Why does it come to mind now?",
        "Your {it}, I see. What is so special about it?",
        "What does your {it} mean to you?",
    ),
)
