package gotrue

// linkAct is what one kind of link is for, in words.
type linkAct struct{ Title, Text, Button string }

// linkSpeech is the words of the page behind links in one language.
type linkSpeech struct {
	signUp, invite, recovery, change, signIn linkAct

	ignore string // for whoever did not ask for the mail
}

// of gives the words for the type parameter of a link. What is not known signs in at most.
func (s linkSpeech) of(kind string) linkAct {
	switch kind {
	case "signup":
		return s.signUp
	case "invite":
		return s.invite
	case "recovery":
		return s.recovery
	case "email_change":
		return s.change
	}
	return s.signIn
}

// linkWords speaks the languages that mails are written in.
func linkWords(locale string) linkSpeech {
	switch locale {
	case "pt-BR":
		return linkPortuguese()
	case "es":
		return linkSpanish()
	case "de":
		return linkGerman()
	case "he":
		return linkHebrew()
	case "hi":
		return linkHindi()
	}
	return linkEnglish()
}

func linkEnglish() linkSpeech {
	return linkSpeech{
		signUp:   linkAct{"Confirm your email address", "Press the button to confirm your address and sign in.", "Confirm address"},
		invite:   linkAct{"You've been invited", "Press the button to accept and open your account.", "Accept the invitation"},
		recovery: linkAct{"Reset your password", "Press the button, then choose a new password.", "Continue"},
		change:   linkAct{"Confirm the change of your email address", "Press the button if this is what you want.", "Confirm the change"},
		signIn:   linkAct{"Sign in", "Press the button and you are in.", "Sign in"},
		ignore:   "You did not ask for this? Close the page: nothing will happen.",
	}
}

func linkPortuguese() linkSpeech {
	return linkSpeech{
		signUp:   linkAct{"Confirme seu endereço de e-mail", "Toque no botão para confirmar seu endereço e entrar.", "Confirmar endereço"},
		invite:   linkAct{"Você recebeu um convite", "Toque no botão para aceitar e abrir sua conta.", "Aceitar o convite"},
		recovery: linkAct{"Redefina sua senha", "Toque no botão e depois escolha uma nova senha.", "Continuar"},
		change:   linkAct{"Confirme a mudança do seu endereço de e-mail", "Toque no botão se é isso que você quer.", "Confirmar a mudança"},
		signIn:   linkAct{"Entrar", "Toque no botão e pronto.", "Entrar"},
		ignore:   "Não foi você que pediu? Feche a página: nada vai acontecer.",
	}
}

func linkSpanish() linkSpeech {
	return linkSpeech{
		signUp:   linkAct{"Confirma tu dirección de correo", "Pulsa el botón para confirmar tu dirección y entrar.", "Confirmar dirección"},
		invite:   linkAct{"Tienes una invitación", "Pulsa el botón para aceptarla y abrir tu cuenta.", "Aceptar la invitación"},
		recovery: linkAct{"Restablece tu contraseña", "Pulsa el botón y elige después una contraseña nueva.", "Continuar"},
		change:   linkAct{"Confirma el cambio de tu dirección de correo", "Pulsa el botón si es lo que quieres.", "Confirmar el cambio"},
		signIn:   linkAct{"Entrar", "Pulsa el botón y estarás dentro.", "Entrar"},
		ignore:   "¿No lo has pedido? Cierra la página: no pasará nada.",
	}
}

func linkGerman() linkSpeech {
	return linkSpeech{
		signUp:   linkAct{"Bestätigen Sie Ihre E-Mail-Adresse", "Die Schaltfläche bestätigt Ihre Adresse und meldet Sie an.", "Adresse bestätigen"},
		invite:   linkAct{"Sie sind eingeladen", "Mit der Schaltfläche nehmen Sie an und eröffnen Ihr Konto.", "Einladung annehmen"},
		recovery: linkAct{"Setzen Sie Ihr Passwort zurück", "Klicken Sie auf die Schaltfläche und wählen Sie dann ein neues Passwort.", "Weiter"},
		change:   linkAct{"Bestätigen Sie die Änderung Ihrer E-Mail-Adresse", "Klicken Sie auf die Schaltfläche, wenn Sie das möchten.", "Änderung bestätigen"},
		signIn:   linkAct{"Anmelden", "Ein Klick auf die Schaltfläche, und Sie sind angemeldet.", "Anmelden"},
		ignore:   "Sie haben das nicht angefordert? Schließen Sie die Seite: Es geschieht nichts.",
	}
}

func linkHebrew() linkSpeech {
	return linkSpeech{
		signUp:   linkAct{"אישור כתובת הדואר האלקטרוני שלכם", "לחצו על הכפתור כדי לאשר את הכתובת ולהיכנס.", "אישור הכתובת"},
		invite:   linkAct{"הוזמנתם להצטרף", "לחצו על הכפתור כדי לקבל את ההזמנה ולפתוח את החשבון.", "קבלת ההזמנה"},
		recovery: linkAct{"איפוס הסיסמה שלכם", "לחצו על הכפתור ובחרו סיסמה חדשה.", "המשך"},
		change:   linkAct{"אישור שינוי כתובת הדואר האלקטרוני", "לחצו על הכפתור אם זה רצונכם.", "אישור השינוי"},
		signIn:   linkAct{"כניסה", "לחצו על הכפתור כדי להיכנס.", "כניסה"},
		ignore:   "לא ביקשתם זאת? סגרו את הדף: שום דבר לא יקרה.",
	}
}

func linkHindi() linkSpeech {
	return linkSpeech{
		signUp:   linkAct{"अपने ईमेल पते की पुष्टि करें", "अपने पते की पुष्टि करने और साइन इन करने के लिए बटन दबाएँ।", "पते की पुष्टि करें"},
		invite:   linkAct{"आपको आमंत्रित किया गया है", "आमंत्रण स्वीकार करके अपना खाता खोलने के लिए बटन दबाएँ।", "आमंत्रण स्वीकार करें"},
		recovery: linkAct{"अपना पासवर्ड बदलें", "बटन दबाएँ, फिर नया पासवर्ड चुनें।", "आगे बढ़ें"},
		change:   linkAct{"अपने ईमेल पते के बदलाव की पुष्टि करें", "अगर आप यही चाहते हैं, तो बटन दबाएँ।", "बदलाव की पुष्टि करें"},
		signIn:   linkAct{"साइन इन करें", "साइन इन करने के लिए बटन दबाएँ।", "साइन इन करें"},
		ignore:   "आपने यह अनुरोध नहीं किया? पेज बंद कर दें: कुछ नहीं होगा।",
	}
}
